/* Walks over the lines of an array along one axis, several side by side: block after block of rows of up to WIDE
 * neighbouring lines is copied out, worked on and copied back. ELEMENT: the type of the array. */
#include <string.h>

#include "parts.h"

enum { WIDE = 64, DIMENSIONS = NNZ_DIMENSIONS };

/* Elements of the part of an array that is worked on; the array itself may be larger. */
typedef struct {
    ELEMENT *values;
    int64_t size[DIMENSIONS], stride[DIMENSIONS];
} Part;

/* Works on `length` rows of `wide` elements. */
typedef void (*Work)(ELEMENT *rows, ELEMENT *scratch, int64_t length, int64_t wide, const void *how);

static void each_block(const Part *part, int axis, ELEMENT *rows, ELEMENT *scratch, Work work, const void *how)
{
    const int last = DIMENSIONS - 1;
    const int64_t length = part->size[axis], along = part->stride[axis], columns = axis == last ? 1 : part->size[last];
    int64_t others = 1;
    for (int k = 0; k < last; k++)
        others *= k == axis ? 1 : part->size[k];
    for (int64_t number = 0; number < others; number++) {
        int64_t at = 0, rest = number;
        for (int k = last - 1; k >= 0; k--) {
            if (k == axis)
                continue;
            at += rest % part->size[k] * part->stride[k];
            rest /= part->size[k];
        }
        for (int64_t column = 0; column < columns; column += WIDE) {
            const int64_t wide = columns - column < WIDE ? columns - column : WIDE;
            ELEMENT *from = part->values + at + column;
            if (along == wide) {
                work(from, scratch, length, wide, how);
                continue;
            }
            for (int64_t i = 0; i < length; i++)
                memcpy(rows + i * wide, from + i * along, (size_t)wide * sizeof *rows);
            work(rows, scratch, length, wide, how);
            for (int64_t i = 0; i < length; i++)
                memcpy(from + i * along, rows + i * wide, (size_t)wide * sizeof *rows);
        }
    }
}

/* Every second of `length` rows, from `first` on. */
static void take_apart(const ELEMENT *rows, int64_t length, int64_t wide, int64_t first, ELEMENT *found)
{
    const int64_t count = (length - first + 1) / 2;
    if (wide == 1)
        for (int64_t i = 0; i < count; i++)
            found[i] = rows[2 * i + first];
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(found + i * wide, rows + (2 * i + first) * wide, (size_t)wide * sizeof *rows);
}

static void put_together(ELEMENT *rows, int64_t length, int64_t wide, int64_t first, const ELEMENT *found)
{
    const int64_t count = (length - first + 1) / 2;
    if (wide == 1)
        for (int64_t i = 0; i < count; i++)
            rows[2 * i + first] = found[i];
    else
        for (int64_t i = 0; i < count; i++)
            memcpy(rows + (2 * i + first) * wide, found + i * wide, (size_t)wide * sizeof *rows);
}
