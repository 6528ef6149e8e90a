#include "parent.h"

#include <string.h>

static int64_t at_most(int64_t value, int64_t most) { return value < most ? value : most; }

/* Rows of the parent as the phases see them: its columns where it is coarser, and even or odd ones where it is not. */
static void spread(const Parent *parent, const int16_t *from, int16_t *to)
{
    for (int parity = 0; parity < parent->parities; parity++, to += parent->row) {
        const int64_t last = parent->size[2] - 1;
        if (parent->step[2] == 2) {
            for (int64_t x = 0; x < parent->row; x++)
                to[x] = from[at_most(x, last)];
            continue;
        }
        int64_t inside = last >= parity ? (last - parity) / 2 + 1 : 0;
        inside = at_most(inside, parent->row);
        for (int64_t x = 0; x < inside; x++)
            to[x] = from[2 * x + parity];
        for (int64_t x = inside; x < parent->row; x++)
            to[x] = from[last];
    }
}

int open_parent(Parent *parent, const Path *path, const Geometry *geometry, const int32_t *values, const int32_t *size,
                int64_t row, int64_t plane)
{
    for (int axis = 0; axis < AXES; axis++) {
        parent->size[axis] = size[axis];
        parent->step[axis] = size[axis] >= geometry->size[axis] ? 1 : 2;
    }
    parent->row = geometry->stride - 2;
    parent->parities = parent->step[2] == 2 ? 1 : 2;
    const int64_t columns = size[2] + 2, padded_plane = (size[1] + 2) * columns;
    const int64_t rows = (int64_t)size[0] * size[1], wide = parent->row * parent->parities;
    if (reserve(&parent->padded, (size_t)((size[0] + 2) * padded_plane), sizeof(int16_t)) != NNZ_OK ||
        reserve(&parent->sums, (size_t)(rows * size[2]), sizeof(int16_t)) != NNZ_OK ||
        reserve(&parent->scratch, (size_t)(padded_plane + columns), sizeof(int16_t)) != NNZ_OK ||
        reserve(&parent->own, (size_t)(rows * wide + SLACK), sizeof(int16_t)) != NNZ_OK ||
        reserve(&parent->around, (size_t)(rows * wide + SLACK), sizeof(int16_t)) != NNZ_OK ||
        reserve(&parent->filled, (size_t)size[0], 1) != NNZ_OK)
        return NNZ_MEMORY;
    int16_t *padded = parent->padded.at, *sums = parent->sums.at, *own = parent->own.at, *around = parent->around.at;
    uint8_t *filled = parent->filled.at;
    memset(padded, 0, (size_t)((size[0] + 2) * padded_plane) * sizeof *padded);
    parent->any = 0;
    for (int32_t t = 0; t < size[0]; t++) {
        int any = 0;
        for (int32_t y = 0; y < size[1]; y++) {
            const int32_t *from = values + t * plane + y * row;
            int16_t *to = padded + (t + 1) * padded_plane + (y + 1) * columns + 1;
            any |= path->cap(from, 1, size[2], to);
            path->sizes(to, size[2]);
        }
        filled[t] = any != 0;
        parent->any |= any != 0;
    }
    if (!parent->any)
        return NNZ_OK;
    path->box(padded, size, sums, parent->scratch.at);
    for (int64_t number = 0; number < rows; number++) {
        int64_t t = number / size[1], y = number % size[1];
        spread(parent, padded + (t + 1) * padded_plane + (y + 1) * columns + 1, own + number * wide);
        spread(parent, sums + number * size[2], around + number * wide);
    }
    return NNZ_OK;
}

void close_parent(Parent *parent)
{
    release(&parent->padded);
    release(&parent->sums);
    release(&parent->scratch);
    release(&parent->own);
    release(&parent->around);
    release(&parent->filled);
}

static int64_t place_in(const Parent *parent, int axis, int phase, int64_t place)
{
    return at_most((2 * place + PHASE[phase][axis]) / parent->step[axis], parent->size[axis] - 1);
}

int parent_occupied(const Parent *parent, int phase, int32_t time)
{
    return ((const uint8_t *)parent->filled.at)[place_in(parent, 0, phase, time)];
}

void parent_plane(const Parent *parent, const Geometry *geometry, int phase, int32_t time, const Buffer *from,
                  int16_t *plane)
{
    const int32_t *count = geometry->count[phase];
    const int64_t wide = parent->row * parent->parities, t = place_in(parent, 0, phase, time);
    const int16_t *rows = from->at;
    if (parent->parities == 2)
        rows += PHASE[phase][2] * parent->row;
    for (int32_t y = 0; y < count[1]; y++) {
        int64_t number = t * parent->size[1] + place_in(parent, 1, phase, y);
        memcpy(plane + y * geometry->stride, rows + number * wide, (size_t)count[2] * sizeof *plane);
    }
}
