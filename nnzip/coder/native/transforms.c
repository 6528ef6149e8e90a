/* Entry points of the wavelet and of quantisation: checks, scratch memory, and the path's functions. */
#include <stdlib.h>

#include "parts.h"

enum { WIDE_ROWS = 2 * 64, LEAST = 2 };

int nnz_wavelet(const Model *model, float *values, const int64_t *shape, const int32_t *depths, const int32_t *closed,
                int inverse)
{
    int64_t count = 1, longest = 1;
    for (int k = 0; k < NNZ_DIMENSIONS; k++) {
        if (shape[k] < 1 || shape[k] > INT64_MAX / 8 / count || depths[k] < 0)
            return NNZ_ARGUMENT;
        count *= shape[k];
        longest = shape[k] > longest ? shape[k] : longest;
        int64_t length = shape[k];
        for (int32_t level = 0; level < depths[k]; level++, length = (length + 1) / 2)
            if (length < LEAST)
                return NNZ_ARGUMENT;
    }
    if (longest > INT32_MAX)
        return NNZ_ARGUMENT;
    float *scratch = malloc((size_t)longest * WIDE_ROWS * sizeof *scratch);
    if (!scratch)
        return NNZ_MEMORY;
    model->path->transforms->wavelet(values, shape, depths, closed, inverse, scratch);
    free(scratch);
    return NNZ_OK;
}

void nnz_dequantise(const Model *model, void *numbers, int64_t count, float one, float more)
{
    model->path->transforms->dequantise(numbers, count, one, more);
}

void nnz_round(const Model *model, const float *values, int64_t count, float dead_zone, float largest, int32_t *found)
{
    model->path->quantiser->round(values, count, dead_zone, largest, found);
}
