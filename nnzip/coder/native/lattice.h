/* Capped coefficients of a subband, one padded array for each phase, so that neighbours along a row of a phase lie
 * side by side. */
#ifndef NNZ_LATTICE_H
#define NNZ_LATTICE_H

#include "parts.h"

extern const int8_t PHASE[PHASES][AXES];
extern const int8_t PAIR[PAIRS][AXES];

/* Sizes of a subband and of its phases. Phase arrays have one place of padding on every side. */
typedef struct {
    int32_t size[AXES];
    int32_t count[PHASES][AXES];
    int32_t planes;        /* of a phase array */
    int64_t stride, plane; /* of its rows and planes */
} Geometry;

typedef struct {
    Buffer memory, filled;
    int16_t *phase[PHASES];    /* NULL for a phase without places */
    uint8_t *occupied[PHASES]; /* [planes]: which planes hold anything */
} Lattice;

void measure(Geometry *geometry, const int32_t *size);
int64_t phase_count(const Geometry *geometry, int phase);

/* Its phases hold anything until they are put. */
int open_lattice(Lattice *lattice, const Geometry *geometry);
void close_lattice(Lattice *lattice);

/* Puts the coefficients of a phase out of the subband at `values`, whose rows and planes are so far apart. */
void put_phase(Lattice *lattice, const Path *path, const Geometry *geometry, int phase, const int32_t *values,
              int64_t row, int64_t plane);

/* Puts all phases of the subband at `values`; returns whether any coefficient is not zero. */
int put_band(Lattice *lattice, const Path *path, const Geometry *geometry, const int32_t *values, int64_t row,
             int64_t plane);

/* Puts values at some places of a phase, which is otherwise zero, of the subband at `values`. */
void put_places(Lattice *lattice, const Geometry *geometry, int phase, const Phase *found, int32_t *values, int64_t row,
                int64_t plane);

/* Place 0 of a plane (time) of the neighbours of a phase, or NULL where they do not exist. `occupied`: whether the
 * plane holds anything. */
const int16_t *neighbour(const Lattice *lattice, const Geometry *geometry, int phase, int32_t time, const int8_t *offset,
                         int *occupied);

/* The phase of a neighbour. */
int phase_beside(int phase, const int8_t *offset);

#endif
