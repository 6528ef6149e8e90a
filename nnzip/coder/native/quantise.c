/* The loops of nnzip/transform/quantise.py, with the same floats in the same order. They decide what an encoder writes,
 * never how a decoder reads. */
#include "parts.h"

static const float AWAY_UNITS = 65536.0f;
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

/* `count` coefficients from `at` on, every second one: rounding.Rounding.shrunk. `quiet`: table of silent ones. */
void shrink_row(const Rounding *rounding, const Found *found, uint8_t quiet, int64_t at, int64_t count, int32_t *values)
{
    for (const int64_t end = at + 2 * count; at < end; at += 2) {
        const int64_t kept = values[at], smaller = kept > 0 ? kept - 1 : kept + 1;
        if (!kept)
            continue;
        const uint8_t class = found->classes[at];
        const float *here = rounding->lengths + (found->tables[at] ? found->tables[at] : quiet) * (LARGEST + 1);
        const float saved = bits_of(kept - found->offsets[at], here, rounding->signs, class) -
                            bits_of(smaller - found->offsets[at], here, rounding->signs, class);
        const float size = rounding->scaled[at] < 0 ? -rounding->scaled[at] : rounding->scaled[at];
        const double away = (double)size - (double)(kept < 0 ? -kept : kept);
        const float worth = rounding->lagrangian * saved;
        if (2 * away + 1 < (double)worth)
            values[at] = (int32_t)smaller;
    }
}

int64_t distance_to(float scaled, int64_t value)
{
    const float size = scaled < 0 ? -scaled : scaled, whole = (float)(value < 0 ? -value : value), away = size - whole;
    return (int64_t)((away > -2 ? away < 2 ? away : 2 : -2) * AWAY_UNITS);
}
