"""The table of ERA5 variables that nnzip/download/variables.py reads.

Sources: c the Climate Data Store, a ARCO-ERA5, w WeatherBench2 (6-hourly), n NCAR on AWS (analyses only).
"""

# short name | name at the Climate Data Store | CF standard name | units | sources (c a w n) | NCAR code
SURFACE = """
t2m    | 2m_temperature | air_temperature | K | cawn | 128_167_2t
d2m    | 2m_dewpoint_temperature | dew_point_temperature | K | cawn | 128_168_2d
msl    | mean_sea_level_pressure | air_pressure_at_mean_sea_level | Pa | cawn | 128_151_msl
sp     | surface_pressure | surface_air_pressure | Pa | cawn | 128_134_sp
u10    | 10m_u_component_of_wind | eastward_wind | m s**-1 | cawn | 128_165_10u
v10    | 10m_v_component_of_wind | northward_wind | m s**-1 | cawn | 128_166_10v
u100   | 100m_u_component_of_wind | eastward_wind | m s**-1 | can | 228_246_100u
v100   | 100m_v_component_of_wind | northward_wind | m s**-1 | can | 228_247_100v
i10fg  | instantaneous_10m_wind_gust | wind_speed_of_gust | m s**-1 | ca |
sst    | sea_surface_temperature | sea_surface_temperature | K | cawn | 128_034_sstk
skt    | skin_temperature | surface_temperature | K | can | 128_235_skt
siconc | sea_ice_cover | sea_ice_area_fraction | (0 - 1) | cawn | 128_031_ci
tcc    | total_cloud_cover | cloud_area_fraction | (0 - 1) | cawn | 128_164_tcc
lcc    | low_cloud_cover | low_type_cloud_area_fraction | (0 - 1) | can | 128_186_lcc
mcc    | medium_cloud_cover | medium_type_cloud_area_fraction | (0 - 1) | can | 128_187_mcc
hcc    | high_cloud_cover | high_type_cloud_area_fraction | (0 - 1) | can | 128_188_hcc
tcwv   | total_column_water_vapour | atmosphere_mass_content_of_water_vapor | kg m**-2 | cawn | 128_137_tcwv
tcw    | total_column_water | atmosphere_mass_content_of_water | kg m**-2 | can | 128_136_tcw
tclw   | total_column_cloud_liquid_water | atmosphere_mass_content_of_cloud_liquid_water | kg m**-2 | can | 128_078_tclw
tciw   | total_column_cloud_ice_water | atmosphere_mass_content_of_cloud_ice | kg m**-2 | can | 128_079_tciw
tco3   | total_column_ozone | atmosphere_mass_content_of_ozone | kg m**-2 | can | 128_206_tco3
cape   | convective_available_potential_energy | atmosphere_convective_available_potential_energy | J kg**-1 | can | 128_059_cape
blh    | boundary_layer_height | atmosphere_boundary_layer_thickness | m | cawn | 128_159_blh
sd     | snow_depth | lwe_thickness_of_surface_snow_amount | m of water equivalent | cawn | 128_141_sd
swvl1  | volumetric_soil_water_layer_1 | volume_fraction_of_condensed_water_in_soil | m**3 m**-3 | cawn | 128_039_swvl1
swvl2  | volumetric_soil_water_layer_2 | volume_fraction_of_condensed_water_in_soil | m**3 m**-3 | cawn | 128_040_swvl2
swvl3  | volumetric_soil_water_layer_3 | volume_fraction_of_condensed_water_in_soil | m**3 m**-3 | cawn | 128_041_swvl3
swvl4  | volumetric_soil_water_layer_4 | volume_fraction_of_condensed_water_in_soil | m**3 m**-3 | cawn | 128_042_swvl4
stl1   | soil_temperature_level_1 | soil_temperature | K | can | 128_139_stl1
stl2   | soil_temperature_level_2 | soil_temperature | K | can | 128_170_stl2
stl3   | soil_temperature_level_3 | soil_temperature | K | can | 128_183_stl3
stl4   | soil_temperature_level_4 | soil_temperature | K | can | 128_236_stl4
"""
ACCUMULATED = """
tp     | total_precipitation | lwe_thickness_of_precipitation_amount | m | ca |
cp     | convective_precipitation | lwe_thickness_of_convective_precipitation_amount | m | ca |
lsp    | large_scale_precipitation | lwe_thickness_of_stratiform_precipitation_amount | m | ca |
sf     | snowfall | lwe_thickness_of_snowfall_amount | m of water equivalent | ca |
e      | evaporation | lwe_thickness_of_water_evaporation_amount | m of water equivalent | ca |
ro     | runoff | | m | ca |
ssrd   | surface_solar_radiation_downwards | integral_wrt_time_of_surface_downwelling_shortwave_flux_in_air | J m**-2 | ca |
ssr    | surface_net_solar_radiation | integral_wrt_time_of_surface_net_downward_shortwave_flux | J m**-2 | ca |
strd   | surface_thermal_radiation_downwards | integral_wrt_time_of_surface_downwelling_longwave_flux_in_air | J m**-2 | ca |
str    | surface_net_thermal_radiation | integral_wrt_time_of_surface_net_downward_longwave_flux | J m**-2 | ca |
tisr   | toa_incident_solar_radiation | | J m**-2 | ca |
tsr    | top_net_solar_radiation | integral_wrt_time_of_toa_net_downward_shortwave_flux | J m**-2 | ca |
ttr    | top_net_thermal_radiation | | J m**-2 | ca |
fdir   | total_sky_direct_solar_radiation_at_surface | | J m**-2 | ca |
sshf   | surface_sensible_heat_flux | integral_wrt_time_of_surface_downward_sensible_heat_flux | J m**-2 | ca |
slhf   | surface_latent_heat_flux | integral_wrt_time_of_surface_downward_latent_heat_flux | J m**-2 | ca |
fg10   | 10m_wind_gust_since_previous_post_processing | wind_speed_of_gust | m s**-1 | ca |
mx2t   | maximum_2m_temperature_since_previous_post_processing | air_temperature | K | ca |
mn2t   | minimum_2m_temperature_since_previous_post_processing | air_temperature | K | ca |
"""
PRESSURE = """
z      | geopotential | geopotential | m**2 s**-2 | cawn | 128_129_z
t      | temperature | air_temperature | K | cawn | 128_130_t
u      | u_component_of_wind | eastward_wind | m s**-1 | cawn | 128_131_u
v      | v_component_of_wind | northward_wind | m s**-1 | cawn | 128_132_v
w      | vertical_velocity | lagrangian_tendency_of_air_pressure | Pa s**-1 | cawn | 128_135_w
q      | specific_humidity | specific_humidity | kg kg**-1 | cawn | 128_133_q
r      | relative_humidity | relative_humidity | % | cn | 128_157_r
vo     | vorticity | atmosphere_relative_vorticity | s**-1 | cn | 128_138_vo
d      | divergence | divergence_of_wind | s**-1 | cn | 128_155_d
pv     | potential_vorticity | ertel_potential_vorticity | K m**2 kg**-1 s**-1 | can | 128_060_pv
o3     | ozone_mass_mixing_ratio | mass_fraction_of_ozone_in_air | kg kg**-1 | can | 128_203_o3
cc     | fraction_of_cloud_cover | cloud_area_fraction_in_atmosphere_layer | (0 - 1) | can | 128_248_cc
clwc   | specific_cloud_liquid_water_content | mass_fraction_of_cloud_liquid_water_in_air | kg kg**-1 | can | 128_246_clwc
ciwc   | specific_cloud_ice_water_content | mass_fraction_of_cloud_ice_in_air | kg kg**-1 | can | 128_247_ciwc
"""
