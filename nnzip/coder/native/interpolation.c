/* nnzip/transform/interpolation.py: predictions of integers from coarser grids. Sums wrap around at 64 bits. */
#define ELEMENT int64_t
#include "lines.h"

#include <stdlib.h>

enum { SHORTEST = 4 };

static int64_t plus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t minus(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }

/* Of the odd rows from the even ones: cubic inside, linear at the ends. */
static void predict(const int64_t *even, int64_t evens, int64_t odds, int64_t wide, int64_t *predicted)
{
    for (int64_t i = 0; i < odds; i++) {
        const int64_t *left = even + i * wide, *right = i + 1 < evens ? left + wide : left;
        for (int64_t k = 0; k < wide; k++)
            predicted[i * wide + k] = plus(plus(left[k], right[k]), 1) >> 1;
    }
    const int64_t last = odds - 1 < evens - 2 ? odds - 1 : evens - 2;
    for (int64_t k = wide; k < last * wide; k++) {
        const uint64_t near = (uint64_t)plus(even[k], even[k + wide]);
        const int64_t sum = minus(minus((int64_t)(9 * near), even[k - wide]), even[k + 2 * wide]);
        predicted[k] = plus(sum, 8) >> 4;
    }
}

static void split(int64_t *rows, int64_t *scratch, int64_t length, int64_t wide, const void *how)
{
    const int64_t evens = (length + 1) / 2, odds = length / 2;
    int64_t *even = scratch, *odd = even + evens * wide, *predicted = odd + odds * wide;
    (void)how;
    take_apart(rows, length, wide, 0, even);
    take_apart(rows, length, wide, 1, odd);
    predict(even, evens, odds, wide, predicted);
    memcpy(rows, even, (size_t)(evens * wide) * sizeof *rows);
    for (int64_t k = 0; k < odds * wide; k++)
        rows[evens * wide + k] = minus(odd[k], predicted[k]);
}

static void merge(int64_t *rows, int64_t *scratch, int64_t length, int64_t wide, const void *how)
{
    const int64_t evens = (length + 1) / 2, odds = length / 2;
    int64_t *even = scratch, *odd = even + evens * wide, *predicted = odd + odds * wide;
    (void)how;
    memcpy(even, rows, (size_t)(length * wide) * sizeof *rows);
    predict(even, evens, odds, wide, predicted);
    for (int64_t k = 0; k < odds * wide; k++)
        odd[k] = plus(odd[k], predicted[k]);
    put_together(rows, length, wide, 0, even);
    put_together(rows, length, wide, 1, odd);
}

int nnz_interpolation(int64_t *values, const int64_t *shape, const int32_t *steps, int32_t count, int inverse)
{
    int64_t longest = 1;
    Part part = {.values = values};
    for (int k = DIMENSIONS - 1, stride = 1; k >= 0; k--) {
        if (shape[k] < 1 || shape[k] > INT32_MAX / stride)
            return NNZ_ARGUMENT;
        part.stride[k] = stride;
        stride *= (int)shape[k];
        longest = shape[k] > longest ? shape[k] : longest;
    }
    for (int32_t number = 0; number < count; number++) {
        const int32_t *step = steps + (int64_t)number * (1 + DIMENSIONS);
        if (step[0] < 0 || step[0] >= DIMENSIONS)
            return NNZ_ARGUMENT;
        for (int k = 0; k < DIMENSIONS; k++)
            if (step[1 + k] < (k == step[0] ? SHORTEST : 1) || step[1 + k] > shape[k])
                return NNZ_ARGUMENT;
    }
    int64_t *rows = malloc(3 * (size_t)longest * WIDE * sizeof *rows);
    if (!rows)
        return NNZ_MEMORY;
    for (int32_t number = 0; number < count; number++) {
        const int32_t *step = steps + (int64_t)(inverse ? count - 1 - number : number) * (1 + DIMENSIONS);
        for (int k = 0; k < DIMENSIONS; k++)
            part.size[k] = step[1 + k];
        each_block(&part, step[0], rows, rows + longest * WIDE, inverse ? merge : split, NULL);
    }
    free(rows);
    return NNZ_OK;
}
