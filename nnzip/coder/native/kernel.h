/* The native kernel of nnzip: what may be called from outside.
 *
 * Exact integers: every function gives what its numpy twin in nnzip/coder and nnzip/transform gives, to the bit, on
 * every path (plain C, AVX2, AVX-512 with VNNI). Nothing is shared between calls but a Model, which never changes once
 * it is made: different threads may use different volumes, encoders and decoders at once.
 *
 * No byte of a stream is trusted. Pointers and array sizes are the caller's promise; numbers inside arrays are not:
 * tables, classes, bands and places are checked before they are used.
 *
 * Functions that return int return one of NNZ_*. Makers return NULL when memory runs out or an argument is wrong.
 */
#ifndef NNZ_KERNEL_H
#define NNZ_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define NNZ_API __declspec(dllexport)
#else
#define NNZ_API __attribute__((visibility("default")))
#endif

enum {
    NNZ_OK = 0,
    NNZ_MEMORY = 1,   /* memory ran out */
    NNZ_ARGUMENT = 2, /* a number in an argument is outside its range */
    NNZ_BEYOND = 3,   /* a coefficient beyond 32 bits: the stream is damaged */
};

enum { NNZ_VERSION = 4 };

typedef struct Model Model;
typedef struct Volume Volume;
typedef struct Encoder Encoder;
typedef struct Decoder Decoder;

NNZ_API int nnz_version(void);

/* Number of paths this processor has, slowest first; a path is named by its number. */
NNZ_API int nnz_paths(void);
NNZ_API const char *nnz_path_name(int path);

/* What the format fixes: the context network, int8 weights [8, 32, 36], [32, 32], [2, 32] and int32 biases [8, 32],
 * [32], [2]; and the weights of the expected magnitude, int32 [2, 2, 8, 8]. Probability tables are computed. */
NNZ_API Model *nnz_model_new(int path, const int8_t *first, const int32_t *first_bias, const int8_t *second,
                             const int32_t *second_bias, const int8_t *third, const int32_t *third_bias,
                             const int32_t *expected);
NNZ_API void nnz_model_free(Model *model);

/* Largest magnitude of a table without an escape, and its frequencies, uint32 [limit + 2], as entropy.frequencies. */
NNZ_API int nnz_table_limit(const Model *model, int table);
NNZ_API int nnz_table_frequencies(const Model *model, int table, uint32_t *frequencies);

/* --- entropy coding: nnzip/coder/entropy.py ------------------------------------------------------------------- */

NNZ_API Encoder *nnz_encoder_new(const Model *model);
NNZ_API void nnz_encoder_free(Encoder *encoder);
/* What is pushed last is read first. Symbols [n] with tables [n]: of both signs, or magnitudes. */
NNZ_API int nnz_push(Encoder *encoder, const int64_t *symbols, const uint8_t *tables, int64_t count, int both_signs);
NNZ_API int nnz_push_signs(Encoder *encoder, const uint8_t *positive, const uint8_t *classes, int64_t count);
/* Bytes of the stream so far, and the stream itself. */
NNZ_API int64_t nnz_encoder_size(const Encoder *encoder);
NNZ_API void nnz_encoder_bytes(const Encoder *encoder, uint8_t *bytes);

NNZ_API Decoder *nnz_decoder_new(const Model *model, const uint8_t *bytes, int64_t size);
NNZ_API void nnz_decoder_free(Decoder *decoder);
NNZ_API int nnz_pop(Decoder *decoder, const uint8_t *tables, int64_t count, int both_signs, int64_t *symbols);
NNZ_API int nnz_pop_signs(Decoder *decoder, const uint8_t *classes, int64_t count, uint8_t *positive);
/* Symbols read so far, signs not counted. */
NNZ_API int64_t nnz_decoder_read(const Decoder *decoder);
/* 1 when everything was read and the coder is back in its first state. */
NNZ_API int nnz_decoder_finished(const Decoder *decoder);

/* --- volumes: nnzip/coder/coefficients.py --------------------------------------------------------------------- */

enum { NNZ_BAND_FIELDS = 13 };

/* Of `volumes` arrays of int32 coefficients [shape] in `count` subbands each, int32 [count, NNZ_BAND_FIELDS]: start and stop along each axis,
 * number of parents, their axes (3) and their numbers (3, smaller than the subband's own). All arrays that the
 * functions below take have this shape. A volume remembers what its subbands taught; subbands come in any order that
 * has parents first, each once. `reference`: another volume that is known, always the same one, or NULL. */
NNZ_API Volume *nnz_volume_new(const Model *model, const int32_t *shape, const int32_t *bands, int32_t count,
                               int32_t volumes);
NNZ_API void nnz_volume_free(Volume *volume);

/* What the model says about every coefficient of a volume of which nothing was entered: `offsets`, `tables` (0: silent)
 * and `classes` of the subbands that are not empty are set. With `scaled` (NULL: without), the values before they were
 * rounded, values become smaller by one where the bits saved are worth it; `lengths` [72, 1024] and `signs` [25]: bits of
 * magnitudes and of positive signs.
 *
 * Adds up how often each magnitude (capped at 1023) is coded under each table, int64 [72, 1024], under each silent
 * table of each subband, int64 [count, 2, 1024] (first phase, later ones), and each sign by class, int64 [25];
 * `large` [73]: capped magnitudes by table (silent ones: 71), and the bits below the leading ones of their excesses;
 * `away` [4], with `scaled`: of magnitude 1 and of larger ones, by how much more they were before (2^-16) and how many
 * there are. */
NNZ_API int nnz_plan(Volume *volume, const int32_t *reference, const float *scaled, const float *lengths,
                     const float *signs, float lagrangian, int32_t *values, int16_t *offsets, uint8_t *tables,
                     uint8_t *classes, int64_t *heard, int64_t *silent, int64_t *signed_counts, int64_t *large,
                     int64_t *away);

/* The eight phases of a subband. `corrections` [72] and `silent` [2]: tables used for those planned. */
NNZ_API int nnz_push_band(Encoder *encoder, Volume *volume, int32_t band, const int32_t *values,
                          const int16_t *offsets, const uint8_t *tables, const uint8_t *classes,
                          const uint8_t *corrections, const uint8_t *silent);
/* `which`: the number of the volume; the others below and above work on the first. */
NNZ_API int nnz_pop_band(Decoder *decoder, Volume *volume, int32_t which, int32_t band, const uint8_t *corrections,
                         const uint8_t *silent, const int32_t *reference, int32_t *values);

/* --- transforms: nnzip/transform ------------------------------------------------------------------------------- */

enum { NNZ_DIMENSIONS = 4 };

/* In place: wavelet.forward or inverse of float32 values [shape], to a depth along each axis; `closed`: which axes close
 * on themselves. An axis or low band that is split has at least two values. */
NNZ_API int nnz_wavelet(const Model *model, float *values, const int64_t *shape, const int32_t *depths,
                        const int32_t *closed, int inverse);
/* In place, from int32 to float32: quantise.dequantise; `one` and `more`: shifts in quantisation steps. */
NNZ_API void nnz_dequantise(const Model *model, void *numbers, int64_t count, float one, float more);
/* In place: interpolation.forward or inverse of int64 values [shape] by its steps, int32 [count, 1 + NNZ_DIMENSIONS]: the
 * axis that is split and the box it is split in, from fine to coarse. */
NNZ_API int nnz_interpolation(int64_t *values, const int64_t *shape, const int32_t *steps, int32_t count, int inverse);

/* --- rounding: nnzip/transform/quantise.py -------------------------------------------------------------------- */

/* The nearest integers of `values`; 0 below the dead zone. */
NNZ_API void nnz_round(const Model *model, const float *values, int64_t count, float dead_zone, float largest,
                       int32_t *found);

#endif
