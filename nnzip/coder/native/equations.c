/* prediction.solve in C. Like numpy, sums and products wrap around at 64 bits. */
#include <string.h>

#include "parts.h"

enum { LARGEST_WEIGHT = 496, RIDGE = 1 << 11, PIVOT_BITS = 30, FACTOR_BITS = 20, FRACTION_BITS = 7, NEUTRAL = 64 };

static int64_t shifted(int64_t value, int bits) { return (int64_t)((uint64_t)value << bits); }
static int64_t product(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t difference(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

/* Rounded down; the divisor is positive. */
static int64_t quotient(int64_t value, int64_t divisor)
{
    int64_t found = value / divisor;
    return found - (value % divisor < 0);
}

static int64_t at_least(int64_t value, int64_t least) { return value < least ? least : value; }

static int bit_length(int64_t value) { return value > 0 ? 64 - __builtin_clzll((unsigned long long)value) : 0; }

int solve(const Equations prior, int16_t *weights)
{
    int used[INPUTS + 1], count = 0;
    memset(weights, 0, sizeof *weights * INPUTS);
    for (int k = 0; k <= INPUTS; k++)
        if (prior[k][k])
            used[count++] = k;
    if (count < 2 || used[count - 1] != INPUTS)
        return NEUTRAL;
    int64_t system[INPUTS + 1][INPUTS + 1], largest = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++) {
            system[i][j] = prior[used[i]][used[j]] + (i == j && i < count - 1 ? RIDGE : 0);
            largest = at_least(system[i][j], largest);
        }
    int spare = PIVOT_BITS - bit_length(largest);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            system[i][j] = spare >= 0 ? shifted(system[i][j], spare) : system[i][j] >> -spare;
    int last = count - 1;
    int64_t energy = at_least(system[last][last], 1);
    for (int column = 0; column < last; column++) {
        int64_t pivot = at_least(system[column][column], 1);
        for (int i = 0; i < count; i++) {
            if (i == column)
                continue;
            int64_t factor = quotient(shifted(system[i][column], FACTOR_BITS), pivot);
            for (int j = 0; j < count; j++)
                system[i][j] = difference(system[i][j], product(factor, system[column][j]) >> FACTOR_BITS);
        }
    }
    for (int i = 0; i < last; i++) {
        int64_t found = quotient(shifted(system[i][last], FRACTION_BITS), at_least(system[i][i], 1));
        found = found < -LARGEST_WEIGHT ? -LARGEST_WEIGHT : found > LARGEST_WEIGHT ? LARGEST_WEIGHT : found;
        weights[used[i]] = (int16_t)found;
    }
    int64_t left = system[last][last];
    if (left <= 0)
        return 0;
    if (left >= energy << 1)
        return 127;
    return (int)(NEUTRAL * left / energy);
}
