/* Magnitudes of a coarser subband at the places of a finer one. */
#ifndef NNZ_PARENT_H
#define NNZ_PARENT_H

#include "lattice.h"

typedef struct {
    Buffer padded, sums, scratch, own, around, filled;
    int32_t axis, size[AXES], step[AXES]; /* places of the subband for one of the parent, along each axis */
    int64_t row;                          /* columns of a row in `own` and `around`: those of a phase */
    int32_t parities;                     /* rows for even and odd columns, or one for both */
    int any;
} Parent;

/* Of the parent's coefficients at `values`, for a subband of `geometry`. */
int open_parent(Parent *parent, const Path *path, const Geometry *geometry, const int32_t *values, const int32_t *size,
                int64_t row, int64_t plane);
void close_parent(Parent *parent);

/* Whether the parent holds anything at this time of the subband. */
int parent_occupied(const Parent *parent, int phase, int32_t time);

/* The plane of a phase: own magnitudes, or their sums over 3 x 3 x 3 places. */
void parent_plane(const Parent *parent, const Geometry *geometry, int phase, int32_t time, const Buffer *from,
                  int16_t *plane);

#endif
