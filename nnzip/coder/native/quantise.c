/* The loops of nnzip/transform/quantise.py, with the same floats in the same order. They decide what an encoder writes,
 * never how a decoder reads. */
#include "parts.h"

static const float WHOLE = 8388608.0f; /* floats from 2^23 on are whole numbers */

void nnz_round(const float *values, int64_t count, float dead_zone, float largest, int32_t *found)
{
    for (int64_t k = 0; k < count; k++) {
        const float size = values[k] < 0 ? -values[k] : values[k], capped = size < largest ? size : largest;
        const float nearest = capped < WHOLE ? (capped + WHOLE) - WHOLE : capped;
        const int32_t rounded = size < dead_zone ? 0 : (int32_t)nearest;
        found[k] = values[k] < 0 ? -rounded : rounded;
    }
}

/* Bits of a coefficient after its offset. */
static float bits_of(int64_t rest, const float *lengths, const float *signs, uint8_t class)
{
    const int64_t size = rest < 0 ? -rest : rest;
    const float sign = rest == 0 ? 0.0f : signs[rest < 0 ? SIGN_CLASSES - 1 - class : class];
    return lengths[size > LARGEST ? LARGEST : size] + sign;
}

/* One row of a subband; `quiet`: the table of silent coefficients in even columns and in odd ones. */
static int shrink_row(int64_t count, const float *scaled, const int16_t *offsets, const uint8_t *tables,
                      const uint8_t *classes, const uint8_t *used, const uint8_t *quiet, const float *lengths,
                      const float *signs, float lagrangian, int32_t *values)
{
    for (int64_t x = 0; x < count; x++) {
        const int64_t kept = values[x], smaller = kept > 0 ? kept - 1 : kept + 1;
        if (!kept)
            continue;
        if (tables[x] >= TABLES || classes[x] >= SIGN_CLASSES)
            return NNZ_ARGUMENT;
        const uint8_t table = tables[x] ? used[tables[x]] : quiet[x & 1];
        const float *here = lengths + (int64_t)table * (LARGEST + 1);
        const float saved = bits_of(kept - offsets[x], here, signs, classes[x]) -
                            bits_of(smaller - offsets[x], here, signs, classes[x]);
        const double size = scaled[x] < 0 ? -(double)scaled[x] : (double)scaled[x];
        const double away = size - (double)(kept < 0 ? -kept : kept);
        const float worth = lagrangian * saved;
        if (2 * away + 1 < (double)worth)
            values[x] = (int32_t)smaller;
    }
    return NNZ_OK;
}

int nnz_shrink(const Volume *volume, int32_t number, const float *scaled, const int16_t *offsets, const uint8_t *tables,
               const uint8_t *classes, const uint8_t *corrections, const uint8_t *silent, const float *lengths,
               const float *signs, float lagrangian, int32_t *values)
{
    int32_t size[AXES];
    int64_t start, row, plane;
    if (find_band(volume, number, size, &start, &row, &plane) != NNZ_OK)
        return NNZ_ARGUMENT;
    for (int table = 0; table < TABLES; table++)
        if (corrections[table] >= TABLES)
            return NNZ_ARGUMENT;
    if (silent[0] >= TABLES || silent[1] >= TABLES)
        return NNZ_ARGUMENT;
    for (int32_t t = 0; t < size[0]; t++)
        for (int32_t y = 0; y < size[1]; y++) {
            const int64_t at = start + t * plane + y * row;
            const uint8_t quiet[2] = {silent[(t | y) & 1], silent[1]};
            if (shrink_row(size[2], scaled + at, offsets + at, tables + at, classes + at, corrections, quiet, lengths,
                           signs, lagrangian, values + at) != NNZ_OK)
                return NNZ_ARGUMENT;
        }
    return NNZ_OK;
}
