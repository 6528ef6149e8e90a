/* The loops of nnzip/transform/quantise.py and coder/rounding.py, with the same floats in the same order, and of
 * contexts._counted. They decide what an encoder writes, never how a decoder reads. Compiled once for every path. */
#include <string.h>

#include "parts.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

enum { TOGETHER = 16 }; /* places that are skipped at once where nothing is */

static const float AWAY_UNITS = 65536.0f;
static const float WHOLE = 8388608.0f; /* floats from 2^23 on are whole numbers */

static void round_off(const float *restrict values, int64_t count, float dead_zone, float largest,
                      int32_t *restrict found)
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

static void count_silent(const uint8_t *tables, const int32_t *values, int64_t count, int64_t *zeros, int64_t *others)
{
    int32_t quiet = 0, filled = 0;
    for (int32_t x = 0; x < 2 * count; x += 2) {
        quiet += !tables[x];
        filled += !tables[x] & (values[x] != 0);
    }
    *zeros += quiet - filled;
    *others += filled;
}

static void shrink_one(const Rounding *rounding, const Found *found, uint8_t quiet, int64_t at, int32_t *values)
{
    const int64_t kept = values[at], smaller = kept > 0 ? kept - 1 : kept + 1;
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

static void shrink_row(const Rounding *rounding, const Found *found, uint8_t quiet, int64_t at, int64_t count,
                       int32_t *values)
{
    const int64_t end = at + 2 * count;
    while (at < end) {
        int32_t any = 0;
        const int64_t stop = at + TOGETHER < end ? at + TOGETHER : end;
        if (stop - at == TOGETHER)
            for (int k = 0; k < TOGETHER; k += 2)
                any |= values[at + k];
        else
            any = 1;
        for (int64_t place = at; any && place < stop; place += 2)
            if (values[place])
                shrink_one(rounding, found, quiet, place, values);
        at = stop;
    }
}

/* How far a magnitude was from the one it was rounded to, in 2^-16, within +-2. */
static int64_t distance_to(float scaled, int64_t value)
{
    const float size = scaled < 0 ? -scaled : scaled, whole = (float)(value < 0 ? -value : value), away = size - whole;
    return (int64_t)((away > -2 ? away < 2 ? away : 2 : -2) * AWAY_UNITS);
}

static int bit_length(int64_t value) { return value > 0 ? 64 - __builtin_clzll((unsigned long long)value) : 0; }

/* `later`: whether the place lies outside of the first phase. */
static void count_one(const Model *model, const Found *found, const float *scaled, int64_t at, int later, int64_t value,
                      const Counts *counts)
{
    const int64_t rest = value - found->offsets[at];
    int64_t magnitude = rest < 0 ? -rest : rest;
    if (magnitude > LARGEST) {
        const int table = found->tables[at] ? found->tables[at] : TABLES - 1;
        const int64_t excess = magnitude - model->table[table].limit - 1;
        counts->large[table]++;
        counts->large[TABLES] += bit_length(excess >> 1);
        magnitude = LARGEST;
    }
    if (found->tables[at]) {
        counts->heard[found->tables[at] * (LARGEST + 1) + magnitude]++;
        if (rest)
            counts->signs[rest > 0 ? found->classes[at] : SIGN_CLASSES - 1 - found->classes[at]]++;
    } else {
        counts->silent[(later ? LARGEST + 1 : 0) + magnitude]++;
    }
    if (scaled && value) {
        int64_t *away = counts->away + (value == 1 || value == -1 ? 0 : 2);
        away[0] += distance_to(scaled[at], value);
        away[1]++;
    }
}

static int nothing(const uint8_t *tables, const int32_t *values)
{
    uint64_t words[TOGETHER / 8];
    int32_t any = 0;
    memcpy(words, tables, sizeof words);
    for (int k = 0; k < TOGETHER; k++)
        any |= values[k];
    return !(words[0] | words[1]) && !any;
}

static void count_row(const Model *model, const Found *found, const float *scaled, int64_t at, int32_t size, int odd,
                      const int32_t *values, const Counts *counts)
{
    for (int32_t x = 0, stop; x < size; x = stop) {
        stop = x + TOGETHER < size ? x + TOGETHER : size;
        if (stop - x == TOGETHER && nothing(found->tables + at + x, values + at + x)) {
            counts->silent[odd ? LARGEST + 1 : 0] += TOGETHER / 2;
            counts->silent[LARGEST + 1] += TOGETHER / 2;
            continue;
        }
        for (int32_t k = x; k < stop; k++)
            count_one(model, found, scaled, at + k, odd | (k & 1), values[at + k], counts);
    }
}

const Quantiser NAMED(quantiser_, NNZ_PATH) = {round_off, count_silent, shrink_row, count_row};
