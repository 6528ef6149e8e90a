#include "lattice.h"

#include <stdlib.h>
#include <string.h>

const int8_t PHASE[PHASES][AXES] = {{0, 0, 0}, {1, 1, 1}, {0, 1, 1}, {1, 0, 0}, {1, 0, 1}, {0, 1, 0}, {1, 1, 0}, {0, 0, 1}};

/* context.PAIRS: one of every two opposite neighbours. */
const int8_t PAIR[PAIRS][AXES] = {{0, 0, 1},  {0, 1, 0}, {1, 0, 0}, {0, 1, -1},  {0, 1, 1},  {1, -1, 0}, {1, 0, -1},
                                  {1, 0, 1}, {1, 1, 0}, {1, -1, -1}, {1, -1, 1}, {1, 1, -1}, {1, 1, 1}};

/* Phases by parity of time, latitude and longitude. */
static const int8_t OF_PARITY[2][2][2] = {{{0, 7}, {5, 2}}, {{3, 4}, {6, 1}}};

int reserve(Buffer *buffer, size_t count, size_t each)
{
    if (count > (SIZE_MAX / 2) / each)
        return NNZ_MEMORY;
    if (buffer->size >= count * each)
        return NNZ_OK;
    free(buffer->at);
    buffer->at = calloc(count, each);
    buffer->size = buffer->at ? count * each : 0;
    return buffer->at ? NNZ_OK : NNZ_MEMORY;
}

void release(Buffer *buffer)
{
    free(buffer->at);
    buffer->at = NULL;
    buffer->size = 0;
}

void measure(Geometry *geometry, const int32_t *size)
{
    memcpy(geometry->size, size, sizeof geometry->size);
    for (int phase = 0; phase < PHASES; phase++)
        for (int axis = 0; axis < AXES; axis++)
            geometry->count[phase][axis] = (size[axis] - PHASE[phase][axis] + 1) / 2;
    geometry->planes = (size[0] + 1) / 2 + 2;
    geometry->stride = (size[2] + 1) / 2 + 2;
    geometry->plane = ((size[1] + 1) / 2 + 2) * geometry->stride;
}

int64_t phase_count(const Geometry *geometry, int phase)
{
    const int32_t *count = geometry->count[phase];
    return (int64_t)count[0] * count[1] * count[2];
}

int open_lattice(Lattice *lattice, const Geometry *geometry)
{
    size_t each = (size_t)geometry->planes * (size_t)geometry->plane, used = 0;
    for (int phase = 0; phase < PHASES; phase++)
        used += phase_count(geometry, phase) > 0;
    if (reserve(&lattice->memory, used * each + SLACK, sizeof(int16_t)) != NNZ_OK ||
        reserve(&lattice->filled, (size_t)geometry->planes, PHASES) != NNZ_OK)
        return NNZ_MEMORY;
    memset(lattice->filled.at, 0, (size_t)geometry->planes * PHASES);
    int16_t *next = lattice->memory.at;
    for (int phase = 0; phase < PHASES; phase++) {
        lattice->occupied[phase] = (uint8_t *)lattice->filled.at + phase * geometry->planes;
        lattice->phase[phase] = phase_count(geometry, phase) > 0 ? next : NULL;
        if (lattice->phase[phase])
            next += each;
    }
    return NNZ_OK;
}

void close_lattice(Lattice *lattice)
{
    release(&lattice->memory);
    release(&lattice->filled);
}

/* Zeros from one place to another, which often lie side by side. */
static void clear(int16_t *from, const int16_t *to)
{
    if (to - from > 3)
        memset(from, 0, (size_t)(to - from) * sizeof *from);
    else
        for (int k = 0; k < to - from; k++)
            from[k] = 0;
}

void put_phase(Lattice *lattice, const Path *path, const Geometry *geometry, int phase, const int32_t *values,
              int64_t row, int64_t plane)
{
    const int32_t *count = geometry->count[phase];
    const int8_t *first = PHASE[phase];
    int16_t *written = lattice->phase[phase]; /* up to here; padding becomes zero */
    if (!written)
        return;
    const int16_t *end = written + geometry->planes * geometry->plane;
    for (int32_t t = 0; t < count[0]; t++) {
        int32_t here = 0;
        for (int32_t y = 0; y < count[1]; y++) {
            const int32_t *from = values + (2 * t + first[0]) * plane + (2 * y + first[1]) * row + first[2];
            int16_t *to = lattice->phase[phase] + (t + 1) * geometry->plane + (y + 1) * geometry->stride + 1;
            clear(written, to);
            here |= path->cap(from, 2, count[2], to);
            written = to + count[2];
        }
        lattice->occupied[phase][t + 1] = here != 0;
    }
    clear(written, end);
}

int put_band(Lattice *lattice, const Path *path, const Geometry *geometry, const int32_t *values, int64_t row,
             int64_t plane)
{
    const int64_t each = geometry->planes * geometry->plane;
    int any = 0;
    for (int phase = 0; phase < PHASES; phase++)
        if (lattice->phase[phase])
            memset(lattice->phase[phase], 0, (size_t)each * sizeof **lattice->phase);
    for (int32_t t = 0; t < geometry->size[0]; t++)
        for (int32_t y = 0; y < geometry->size[1]; y++) {
            const int even = OF_PARITY[t & 1][y & 1][0], odd = OF_PARITY[t & 1][y & 1][1];
            const int64_t at = (t / 2 + 1) * geometry->plane + (y / 2 + 1) * geometry->stride + 1;
            int16_t *columns = lattice->phase[odd] ? lattice->phase[odd] + at : NULL;
            int32_t here[2] = {0};
            path->cap_row(values + t * plane + y * row, geometry->size[2], lattice->phase[even] + at, columns, here);
            lattice->occupied[even][t / 2 + 1] |= here[0] != 0;
            lattice->occupied[odd][t / 2 + 1] |= here[1] != 0;
            any |= here[0] | here[1];
        }
    return any != 0;
}

void put_places(Lattice *lattice, const Geometry *geometry, int phase, const Phase *found, int32_t *values, int64_t row,
                int64_t plane)
{
    const int32_t *count = geometry->count[phase], columns = count[2];
    const int8_t *first = PHASE[phase];
    memset(lattice->phase[phase], 0, (size_t)(geometry->planes * geometry->plane) * sizeof **lattice->phase);
    int32_t *to = NULL, start = 0, end = 0; /* of the row at hand */
    int16_t *capped = NULL;
    uint8_t *occupied = NULL;
    for (int64_t k = 0; k < found->known; k++) {
        const int32_t place = found->places[k], value = found->values[k];
        if (place >= end || place < start) {
            const int32_t number = place / columns, t = number / count[1], y = number % count[1];
            start = number * columns;
            end = start + columns;
            to = values + (2 * t + first[0]) * plane + (2 * y + first[1]) * row + first[2];
            capped = lattice->phase[phase] + (t + 1) * geometry->plane + (y + 1) * geometry->stride + 1;
            occupied = lattice->occupied[phase] + t + 1;
        }
        to[2 * (int64_t)(place - start)] = value;
        capped[place - start] = (int16_t)(value > LARGEST ? LARGEST : value < -LARGEST ? -LARGEST : value);
        *occupied |= value != 0;
    }
}

int phase_beside(int phase, const int8_t *offset)
{
    const int8_t *parity = PHASE[phase];
    return OF_PARITY[(parity[0] + offset[0]) & 1][(parity[1] + offset[1]) & 1][(parity[2] + offset[2]) & 1];
}

const int16_t *neighbour(const Lattice *lattice, const Geometry *geometry, int phase, int32_t time, const int8_t *offset,
                         int *occupied)
{
    int other = phase_beside(phase, offset);
    int step[AXES];
    for (int axis = 0; axis < AXES; axis++) {
        int moved = PHASE[phase][axis] + offset[axis]; /* -1 to 2 */
        step[axis] = moved < 0 ? -1 : moved / 2;
    }
    *occupied = 0;
    if (!lattice->phase[other])
        return NULL;
    *occupied = lattice->occupied[other][time + 1 + step[0]];
    return lattice->phase[other] + (time + 1 + step[0]) * geometry->plane + (1 + step[1]) * geometry->stride + 1 + step[2];
}
