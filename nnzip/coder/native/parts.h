/* Types and functions that the files of the kernel share. */
#ifndef NNZ_PARTS_H
#define NNZ_PARTS_H

#include "kernel.h"

enum {
    AXES = 3,
    PHASES = 8,
    NEIGHBOURS = 27, /* with the place itself */
    PAIRS = 13,
    ROWS = 27, /* inputs of the network that differ from place to place */
    CONSTANTS = 9,
    HIDDEN = 32,
    OUTPUTS = 2,
    INPUTS = 11, /* signed sums of the prediction */
    REFERENCE_SUM = 7,
    SAMPLES = 1 << 12,
    TABLES = 72,
    SIGN_CLASSES = 25,
    LARGEST = 1023,
    LANES = 32,  /* places that are looked at together */
    BATCH = 512, /* places that the network is asked for together */
    SLACK = 64,  /* elements that may be read beyond an array's end */
};

enum { EXPECTED = PAIRS, PARENT = 14, AROUND_PARENT = 17, REFERENCE = 20, REFERENCE_BOX = 24, PREDICTED = 25, FRACTION = 26 };

typedef int64_t Equations[INPUTS + 1][INPUTS + 1];

enum { PRECISION = 24, QUICK_BITS = 10 };

/* A probability table: cumulative frequencies over the indices of its symbols and, last, the escape. */
typedef struct {
    int32_t limit;
    uint32_t *one_sided; /* [limit + 3]: 0 to limit, escape */
    uint32_t *two_sided; /* [2 limit + 3]: -limit to limit, escape */
    uint16_t quick[1 << QUICK_BITS]; /* first one-sided index that a quantile's highest bits leave possible */
} Table;

typedef struct Path Path;

/* Loops of the transforms, see wavelet.c. */
typedef struct {
    void (*wavelet)(float *values, const int64_t *shape, const int32_t *depths, const int32_t *closed, int inverse,
                    float *scratch);
    void (*dequantise)(unsigned char *numbers, int64_t count, float one, float more);
} Transforms;

struct Model {
    const Path *path;
    int8_t first[PHASES][HIDDEN][ROWS + CONSTANTS];
    int32_t first_bias[PHASES][HIDDEN];
    int8_t second[HIDDEN][HIDDEN];
    int32_t second_bias[HIDDEN];
    int8_t third[OUTPUTS][HIDDEN];
    int32_t third_bias[OUTPUTS];
    int32_t expected[2][2][PHASES][8]; /* has a reference, has parents */
    uint32_t positive[SIGN_CLASSES];   /* frequency of a positive sign */
    Table table[TABLES];
};

int make_tables(Model *model);
void free_tables(Model *model);

/* The network's weights as a path wants them, for the inputs that are not always zero. */
typedef struct {
    int32_t rows; /* inputs in use */
    int32_t bias[HIDDEN];
    int32_t first[HIDDEN * (ROWS + 5)];
    int32_t second[HIDDEN * HIDDEN];
    int32_t third[OUTPUTS * HIDDEN];
    int32_t second_bias[HIDDEN];
    int32_t third_bias[OUTPUTS];
} Network;

typedef struct {
    const int16_t *before, *after;
    int32_t sum;    /* which signed sum it adds to */
    int32_t weight; /* in the expected magnitude */
} Pair;

/* What one plane (time) of a phase sees. Places are numbered along its rows, which have `stride` columns: those that
 * are not of the phase are masked out by `valid`. All pointers are to place 0. */
typedef struct {
    int64_t length;
    const uint32_t *valid; /* [length / LANES, rounded up]: bits of the places that exist */
    int32_t seen;
    const int16_t *seen_at[2 * NEIGHBOURS + AXES]; /* a place is heard where any of them is not zero */
    int32_t pairs;
    Pair pair[PAIRS];
    int32_t parents;
    const int16_t *own[AXES], *around[AXES];
    int32_t parent_weight;
    int32_t boxes; /* 0 without a reference that says something */
    const int16_t *box[NEIGHBOURS];
    const int16_t *star[7]; /* itself, and two neighbours along each axis */
    int32_t reference_weight, star_weight;
    int16_t weights[INPUTS];
} View;

/* Where the places of a plane are in the arrays of a phase or a volume. */
typedef struct {
    const int32_t *within; /* [length] */
    int32_t base;
} Places;

/* What is found out about heard places. `used`: the table that stands for each one the network asks for. With `places`
 * the arrays have an element for every heard place, in their order, and the places are listed there; without, one for
 * every place. */
typedef struct {
    int16_t *offsets;
    uint8_t *tables, *classes;
    const uint8_t *used;
    int32_t *places;
} Found;

/* Every so many of the heard places serve the equations. */
typedef struct {
    int64_t every, seen, next;
    int32_t count;
    int32_t places[SAMPLES + LANES];
    int16_t sums[INPUTS][SAMPLES + LANES];
} Samples;

/* Heard places that wait for the network. */
typedef struct {
    int32_t count;
    int32_t places[BATCH + LANES];
    int16_t offsets[BATCH + LANES];
    int8_t directions[BATCH + LANES];
    uint8_t rows[ROWS + 5][BATCH + LANES];
} Batch;

/* How an encoder rounds: nothing where `scaled` is NULL. `lengths` [TABLES, LARGEST + 1] and `signs` [SIGN_CLASSES]:
 * bits of magnitudes and of positive signs. */
typedef struct {
    const float *scaled, *lengths, *signs;
    float lagrangian;
} Rounding;

/* What symbols are counted in, see nnz_plan. */
typedef struct {
    int64_t *heard, *silent, *signs, *large, *away;
} Counts;

/* Loops of an encoder, see quantise.c. */
typedef struct {
    void (*round)(const float *values, int64_t count, float dead_zone, float largest, int32_t *found);
    /* Silent coefficients of a row of a phase (`count`, every second one), those that are zero and others. */
    void (*silent)(const uint8_t *tables, const int32_t *values, int64_t count, int64_t *zeros, int64_t *others);
    /* `count` coefficients from `at` on, every second one: rounding.Rounding.shrunk. `quiet`: table of silent ones. */
    void (*shrink)(const Rounding *rounding, const Found *found, uint8_t quiet, int64_t at, int64_t count,
                   int32_t *values);
    /* A row of a subband; `odd`: whether it lies outside of the first phase. */
    void (*count)(const Model *model, const Found *found, const float *scaled, int64_t at, int32_t size, int odd,
                  const int32_t *values, const Counts *counts);
} Quantiser;

/* What is compiled once for every kind of processor. */
struct Path {
    const char *name;
    /* Bits of the heard places of a plane, [length / LANES, rounded up]; returns their number. */
    int64_t (*heard)(const View *view, uint32_t *heard);
    void (*pack)(const Model *model, int phase, const uint8_t *numbers, int rows, const uint8_t *constants,
                 Network *network);
    void (*look)(const View *view, const uint32_t *heard, const Places *places, const Network *network, Batch *batch,
                 Samples *samples, const Found *found);
    void (*flush)(const Network *network, Batch *batch, const Found *found);
    void (*box)(const int16_t *padded, const int32_t *shape, int16_t *sums, int16_t *scratch);
    /* prediction.equations of the samples and the coefficients at their places. */
    void (*equations)(const Samples *samples, const int32_t *values, Equations own);
    /* `count` coefficients, `step` (1 or 2) apart, within LARGEST; returns 0 where all are. */
    int32_t (*cap)(const int32_t *values, int64_t step, int64_t count, int16_t *found);
    /* A row of them, even and odd columns apart; joins their bits to `any` [2]. */
    void (*cap_row)(const int32_t *values, int64_t count, int16_t *even, int16_t *odd, int32_t *any);
    /* Their magnitudes. */
    void (*sizes)(int16_t *values, int64_t count);
    const Transforms *transforms;
    const Quantiser *quantiser;
};

/* Slowest first. */
const Path *path_numbered(int number);

/* prediction.solve: weights, and how much energy they leave. */
int solve(const Equations prior, int16_t *weights);

/* Memory that grows, filled with zeros where it is new. */
typedef struct {
    void *at;
    size_t size;
} Buffer;

int reserve(Buffer *buffer, size_t count, size_t each);
void release(Buffer *buffer);

/* One phase of a subband: coefficients less their offsets, whose magnitudes `push_phase` leaves behind. */
int push_phase(Encoder *encoder, int64_t *rest, const uint8_t *tables, const uint8_t *classes, int64_t count);

/* A phase of `count` places, of which some were `heard`: those places in their order, and what was found out about
 * them; the others are under the table `silent`. `pop_phase` sets their values and appends the others that are not
 * zero, in their order, up to `known`. Places and values have room for twice the count. */
typedef struct {
    int64_t count, heard, known;
    int32_t *places, *values;
    const uint8_t *tables, *classes;
    const int16_t *offsets;
    uint8_t silent;
} Phase;

int pop_phase(Decoder *decoder, Phase *phase);

/* entropy.silent_table */
uint8_t silent_table(int64_t zeros, int64_t others);

#endif
