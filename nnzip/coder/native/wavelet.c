/* nnzip/transform/wavelet.py and quantise.dequantise for float32, with the same operations in the same order: every
 * path gives numpy's bits. Compiled once for every path. */
#define ELEMENT float
#include "lines.h"

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)

static const float LIFTING[4] = {-1.586134342059924f, -0.052980118572961f, 0.882911075530934f, 0.443506852043971f};
static const float SCALE = 1.149604398860241f;

typedef struct {
    int32_t depth;
    int closed, inverse;
} Axis;

/* target[i] += weight * (left[i] + right[i]) */
static void lift(float *restrict target, const float *left, const float *right, float weight, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        target[k] += weight * (left[k] + right[k]);
}

static void lift_odd(float *odd, int64_t odds, const float *even, int64_t evens, float weight, int closed, int64_t wide)
{
    const int64_t inner = evens - 1 < odds ? evens - 1 : odds;
    lift(odd, even, even + wide, weight, inner * wide);
    if (inner < odds)
        lift(odd + (odds - 1) * wide, even + (evens - 1) * wide, even + (closed ? 0 : evens - 1) * wide, weight, wide);
}

static void lift_even(float *even, int64_t evens, const float *odd, int64_t odds, float weight, int closed,
                      int64_t wide)
{
    const int64_t inner = evens < odds ? evens : odds;
    lift(even + wide, odd, odd + wide, weight, (inner - 1) * wide);
    lift(even, odd + (closed ? odds - 1 : 0) * wide, odd, weight, wide);
    if (inner < evens)
        lift(even + (evens - 1) * wide, odd + (odds - 1) * wide, odd + (odds - 1) * wide, weight, wide);
}

static void split(float *rows, float *even, int64_t length, int64_t wide, int closed)
{
    const int64_t evens = (length + 1) / 2, odds = length / 2;
    float *odd = even + evens * wide;
    take_apart(rows, length, wide, 0, even);
    take_apart(rows, length, wide, 1, odd);
    for (int step = 0; step < 4; step += 2) {
        lift_odd(odd, odds, even, evens, LIFTING[step], closed, wide);
        lift_even(even, evens, odd, odds, LIFTING[step + 1], closed, wide);
    }
    for (int64_t k = 0; k < evens * wide; k++)
        rows[k] = even[k] * SCALE;
    for (int64_t k = 0; k < odds * wide; k++)
        rows[evens * wide + k] = odd[k] / SCALE;
}

static void merge(float *rows, float *even, int64_t length, int64_t wide, int closed)
{
    const int64_t evens = (length + 1) / 2, odds = length / 2;
    float *odd = even + evens * wide;
    for (int64_t k = 0; k < evens * wide; k++)
        even[k] = rows[k] / SCALE;
    for (int64_t k = 0; k < odds * wide; k++)
        odd[k] = rows[evens * wide + k] * SCALE;
    for (int step = 2; step >= 0; step -= 2) {
        lift_even(even, evens, odd, odds, -LIFTING[step + 1], closed, wide);
        lift_odd(odd, odds, even, evens, -LIFTING[step], closed, wide);
    }
    put_together(rows, length, wide, 0, even);
    put_together(rows, length, wide, 1, odd);
}

static void transform_rows(float *rows, float *scratch, int64_t length, int64_t wide, const void *how)
{
    const Axis *axis = how;
    int64_t lengths[64] = {length};
    for (int32_t level = 0; level < axis->depth; level++)
        lengths[level + 1] = (lengths[level] + 1) / 2;
    for (int32_t k = 0; k < axis->depth; k++) {
        const int64_t part = lengths[axis->inverse ? axis->depth - 1 - k : k];
        const int closed = axis->closed && part % 2 == 0;
        (axis->inverse ? merge : split)(rows, scratch, part, wide, closed);
    }
}

static void transform(float *values, const int64_t *shape, const int32_t *depths, const int32_t *closed, int inverse,
                      float *scratch)
{
    Part part = {.values = values};
    int64_t stride = 1;
    for (int k = DIMENSIONS - 1; k >= 0; k--) {
        part.size[k] = shape[k];
        part.stride[k] = stride;
        stride *= shape[k];
    }
    for (int k = 0; k < DIMENSIONS; k++) {
        const int number = inverse ? DIMENSIONS - 1 - k : k;
        const Axis axis = {depths[number], closed[number], inverse};
        if (axis.depth)
            each_block(&part, number, scratch, scratch + shape[number] * WIDE, transform_rows, &axis);
    }
}

static void dequantise(unsigned char *numbers, int64_t count, float one, float more)
{
    for (int64_t k = 0; k < count; k++) {
        int32_t number;
        memcpy(&number, numbers + 4 * k, sizeof number);
        const uint32_t size = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;
        const float moved = size > 1 ? more : size == 1 ? one : 0.0f;
        const float away = (float)((double)size + (double)moved), value = number < 0 ? -away : away;
        memcpy(numbers + 4 * k, &value, sizeof value);
    }
}

const Transforms NAMED(transforms_, NNZ_PATH) = {transform, dequantise};
