/* The context model of one volume: nnzip/coder/context_model.py, subband after subband and phase after phase. */
#include <stdlib.h>
#include <string.h>

#include "lattice.h"
#include "parent.h"

typedef struct {
    int32_t start[AXES], size[AXES];
    int32_t parents, axis[AXES], parent[AXES];
    uint8_t constants[CONSTANTS]; /* the last one changes from phase to phase */
} Band;

struct Volume {
    const Model *model;
    int32_t shape[AXES], count;
    Band *bands;
    int32_t volumes;
    Equations (*every_learnt)[PHASES]; /* [volumes, count] */
    uint8_t *every_entered;            /* [volumes, count] */

    /* Of the volume at hand. */
    int has_reference;
    Equations (*learnt)[PHASES]; /* [count] */
    uint8_t *entered;            /* [count] */

    /* Of the subband at hand. */
    Geometry geometry;
    Lattice own, reference;
    Parent parents[AXES];
    int32_t active; /* parents that hold anything, at the front */
    int referenced; /* the reference holds anything */
    Equations prior[PHASES], within;

    /* Of the phase at hand. */
    Buffer valid, places, heard, heard_in, planes, nothing;
    Buffer tables, classes, offsets, coefficients, rest;
    Network network;
    Batch batch;
    Samples samples;
};

/* --- making one -------------------------------------------------------------------------------------------------- */

static int halvings(int32_t size, int32_t whole)
{
    int count = 0;
    while (((int64_t)size << count) * 3 < (int64_t)whole * 2)
        count++;
    return count;
}

static int read_band(Band *band, int32_t number, const int32_t *fields, const int32_t *shape)
{
    const int32_t parents = fields[6];
    if (parents < 0 || parents > AXES)
        return NNZ_ARGUMENT;
    for (int axis = 0; axis < AXES; axis++) {
        int32_t start = fields[axis], stop = fields[AXES + axis];
        if (start < 0 || stop <= start || stop > shape[axis])
            return NNZ_ARGUMENT;
        band->start[axis] = start;
        band->size[axis] = stop - start;
        int count = halvings(stop - start, shape[axis]);
        band->constants[axis] = (uint8_t)(16 * (count < 7 ? count : 7));
        band->constants[AXES + axis] = start == 0 ? 64 : 0;
    }
    band->parents = parents;
    for (int k = 0; k < parents; k++) {
        band->axis[k] = fields[7 + k];
        band->parent[k] = fields[10 + k];
        if (band->axis[k] < 0 || band->axis[k] >= AXES || band->parent[k] < 0 || band->parent[k] >= number)
            return NNZ_ARGUMENT;
        for (int other = 0; other < k; other++)
            if (band->axis[other] == band->axis[k])
                return NNZ_ARGUMENT;
    }
    band->constants[6] = (uint8_t)(32 * parents);
    return NNZ_OK;
}

Volume *nnz_volume_new(const Model *model, const int32_t *shape, const int32_t *bands, int32_t count, int32_t volumes)
{
    int64_t places = 1;
    for (int axis = 0; axis < AXES; axis++) {
        if (shape[axis] < 1 || shape[axis] > INT32_MAX / places)
            return NULL;
        places *= shape[axis];
    }
    if (count < 1 || volumes < 1)
        return NULL;
    const size_t every = (size_t)volumes * (size_t)count;
    Volume *volume = calloc(1, sizeof *volume);
    if (!volume)
        return NULL;
    volume->model = model;
    memcpy(volume->shape, shape, sizeof volume->shape);
    volume->count = count;
    volume->volumes = volumes;
    volume->bands = calloc((size_t)count, sizeof *volume->bands);
    volume->every_learnt = calloc(every, sizeof *volume->every_learnt);
    volume->every_entered = calloc(every, 1);
    int wrong = !volume->bands || !volume->every_learnt || !volume->every_entered;
    for (int32_t number = 0; number < count && !wrong; number++)
        wrong = read_band(&volume->bands[number], number, bands + (int64_t)number * NNZ_BAND_FIELDS, shape);
    if (!wrong)
        return volume;
    nnz_volume_free(volume);
    return NULL;
}

void nnz_volume_free(Volume *volume)
{
    if (!volume)
        return;
    free(volume->bands);
    free(volume->every_learnt);
    free(volume->every_entered);
    close_lattice(&volume->own);
    close_lattice(&volume->reference);
    for (int k = 0; k < AXES; k++)
        close_parent(&volume->parents[k]);
    Buffer *buffers[] = {&volume->valid,   &volume->places,  &volume->heard,        &volume->heard_in,
                         &volume->planes,  &volume->nothing, &volume->tables,       &volume->classes,
                         &volume->offsets, &volume->coefficients, &volume->rest};
    for (size_t k = 0; k < sizeof buffers / sizeof *buffers; k++)
        release(buffers[k]);
    free(volume);
}

/* --- entering a subband: context_model.ChannelContexts.enter ----------------------------------------------------- */

static int64_t row_of(const Volume *volume) { return volume->shape[2]; }
static int64_t plane_of(const Volume *volume) { return (int64_t)volume->shape[1] * volume->shape[2]; }

static int64_t start_of(const Volume *volume, const Band *band)
{
    return band->start[0] * plane_of(volume) + band->start[1] * row_of(volume) + band->start[2];
}

static void hand_on(Volume *volume, int32_t number)
{
    const Band *band = &volume->bands[number];
    int64_t *prior = &volume->prior[0][0][0], *learnt = &volume->learnt[number][0][0][0];
    const int64_t count = sizeof volume->prior / sizeof *prior;
    memset(volume->prior, 0, sizeof volume->prior);
    memset(volume->within, 0, sizeof volume->within);
    for (int k = 0; k < band->parents; k++) {
        const int64_t *parent = &volume->learnt[band->parent[k]][0][0][0];
        for (int64_t i = 0; i < count; i++)
            prior[i] += parent[i];
    }
    for (int64_t i = 0; i < count; i++)
        learnt[i] = prior[i] >> 2;
}

static int take_volume(Volume *volume, int32_t which, const int32_t *reference)
{
    if (which < 0 || which >= volume->volumes)
        return NNZ_ARGUMENT;
    volume->learnt = volume->every_learnt + (int64_t)which * volume->count;
    volume->entered = volume->every_entered + (int64_t)which * volume->count;
    volume->has_reference = reference != NULL;
    return NNZ_OK;
}

static int enter(Volume *volume, int32_t number, const int32_t *values, const int32_t *reference)
{
    if (number < 0 || number >= volume->count || volume->entered[number])
        return NNZ_ARGUMENT;
    Band *band = &volume->bands[number];
    band->constants[7] = volume->has_reference ? 64 : 0;
    const int64_t row = row_of(volume), plane = plane_of(volume);
    volume->entered[number] = 1;
    hand_on(volume, number);
    measure(&volume->geometry, band->size);
    if (open_lattice(&volume->own, &volume->geometry) != NNZ_OK)
        return NNZ_MEMORY;
    volume->active = 0;
    for (int k = 0; k < band->parents; k++) {
        const Band *coarser = &volume->bands[band->parent[k]];
        Parent *parent = &volume->parents[volume->active];
        if (!volume->entered[band->parent[k]])
            continue; /* it is empty */
        parent->axis = band->axis[k];
        if (open_parent(parent, volume->model->path, &volume->geometry, values + start_of(volume, coarser),
                        coarser->size, row, plane) != NNZ_OK)
            return NNZ_MEMORY;
        volume->active += parent->any;
    }
    volume->referenced = 0;
    if (!volume->has_reference)
        return NNZ_OK;
    if (open_lattice(&volume->reference, &volume->geometry) != NNZ_OK)
        return NNZ_MEMORY;
    volume->referenced = put_band(&volume->reference, volume->model->path, &volume->geometry,
                                  reference + start_of(volume, band), row, plane);
    return NNZ_OK;
}

/* --- looking at a phase: context_model.SubbandContexts.look ------------------------------------------------------ */

static int64_t blocks_in(int64_t length) { return (length + LANES - 1) / LANES; }

static void set_bits(uint32_t *words, int64_t from, int64_t to)
{
    while (from < to) {
        const int64_t shift = from % LANES, count = to - from < LANES - shift ? to - from : LANES - shift;
        words[from / LANES] |= (uint32_t)((((uint64_t)1 << count) - 1) << shift);
        from += count;
    }
}

/* Where the places of a plane are: `row` apart by rows and `column` by columns. */
static int lay_out(Volume *volume, int phase, int64_t row, int64_t column)
{
    const Geometry *geometry = &volume->geometry;
    const int32_t *count = geometry->count[phase], columns = count[2];
    const int64_t length = (count[1] - 1) * geometry->stride + columns, blocks = blocks_in(length);
    const size_t plane = (size_t)(geometry->plane + SLACK);
    if (reserve(&volume->valid, (size_t)blocks, sizeof(uint32_t)) != NNZ_OK ||
        reserve(&volume->places, (size_t)length + LANES, sizeof(int32_t)) != NNZ_OK ||
        reserve(&volume->heard, (size_t)(count[0] * blocks), sizeof(uint32_t)) != NNZ_OK ||
        reserve(&volume->heard_in, (size_t)count[0], sizeof(int64_t)) != NNZ_OK ||
        reserve(&volume->planes, 2 * AXES * plane, sizeof(int16_t)) != NNZ_OK ||
        reserve(&volume->nothing, plane, sizeof(int16_t)) != NNZ_OK)
        return NNZ_MEMORY;
    uint32_t *valid = volume->valid.at;
    int32_t *places = volume->places.at;
    memset(valid, 0, (size_t)blocks * sizeof *valid);
    for (int32_t y = 0; y < count[1]; y++) {
        const int64_t start = y * geometry->stride;
        for (int32_t x = 0; x < columns; x++)
            places[start + x] = (int32_t)(y * row + x * column);
        set_bits(valid, start, start + columns);
    }
    return NNZ_OK;
}

static int16_t *plane_for(const Volume *volume, int number)
{
    return (int16_t *)volume->planes.at + number * (volume->geometry.plane + SLACK);
}

static void start_view(const Volume *volume, int phase, View *view)
{
    const int32_t *count = volume->geometry.count[phase];
    memset(view, 0, sizeof *view);
    view->length = (count[1] - 1) * volume->geometry.stride + count[2];
    view->valid = volume->valid.at;
}

/* Everything that may make a place of the plane heard. */
static void see_plane(Volume *volume, int phase, int32_t time, View *view)
{
    const Geometry *geometry = &volume->geometry;
    int occupied;
    start_view(volume, phase, view);
    for (int k = 0; k < NEIGHBOURS; k++) {
        const int8_t offset[AXES] = {(int8_t)(k / 9 - 1), (int8_t)(k / 3 % 3 - 1), (int8_t)(k % 3 - 1)};
        const int16_t *plane = neighbour(&volume->own, geometry, phase, time, offset, &occupied);
        if (phase_beside(phase, offset) < phase && occupied)
            view->seen_at[view->seen++] = plane;
        if (!volume->referenced)
            continue;
        plane = neighbour(&volume->reference, geometry, phase, time, offset, &occupied);
        if (occupied)
            view->seen_at[view->seen++] = plane;
    }
    for (int k = 0; k < volume->active; k++)
        if (parent_occupied(&volume->parents[k], phase, time)) {
            parent_plane(&volume->parents[k], geometry, phase, time, &volume->parents[k].own, plane_for(volume, k));
            view->seen_at[view->seen++] = plane_for(volume, k);
        }
}

static int64_t find_heard(Volume *volume, int phase)
{
    uint32_t *heard = volume->heard.at;
    int64_t *heard_in = volume->heard_in.at, sum = 0;
    for (int32_t t = 0; t < volume->geometry.count[phase][0]; t++) {
        View view;
        see_plane(volume, phase, t, &view);
        heard_in[t] = view.seen ? volume->model->path->heard(&view, heard + t * blocks_in(view.length)) : 0;
        sum += heard_in[t];
    }
    return sum;
}

static int distance(const int8_t *offset) { return abs(offset[0]) + abs(offset[1]) + abs(offset[2]); }

/* Which signed sum a neighbour adds to, and which weight its magnitude has. */
static int sum_of(const int8_t *offset)
{
    int axes = (offset[1] != 0) + 2 * (offset[2] != 0), away = distance(offset);
    return away == 1 ? axes : away == 3 ? 6 : 2 + axes;
}

static int weight_of(const int8_t *offset)
{
    return distance(offset) == 1 ? sum_of(offset) : distance(offset) + 1;
}

static const int32_t *expected_weights(const Volume *volume, const Band *band, int phase)
{
    return volume->model->expected[volume->has_reference][band->parents > 0][phase];
}

/* Which inputs of the network are in use in a phase; returns their number. */
static int number_rows(const Volume *volume, int phase, uint8_t *numbers)
{
    int rows = 0;
    for (int k = 0; k < PAIRS; k++) {
        int other = phase_beside(phase, PAIR[k]);
        if (other < phase && volume->own.phase[other])
            numbers[rows++] = (uint8_t)k;
    }
    numbers[rows++] = EXPECTED;
    for (int k = 0; k < volume->active; k++) {
        numbers[rows++] = (uint8_t)(PARENT + volume->parents[k].axis);
        numbers[rows++] = (uint8_t)(AROUND_PARENT + volume->parents[k].axis);
    }
    for (int k = REFERENCE; k <= REFERENCE_BOX && volume->referenced; k++)
        numbers[rows++] = (uint8_t)k;
    numbers[rows++] = PREDICTED;
    numbers[rows++] = FRACTION;
    return rows;
}

static void view_neighbours(const Volume *volume, const int32_t *weights, int phase, int32_t time, View *view)
{
    int occupied;
    for (int k = 0; k < PAIRS; k++) {
        const int8_t *after = PAIR[k], before[AXES] = {(int8_t)-after[0], (int8_t)-after[1], (int8_t)-after[2]};
        int other = phase_beside(phase, after);
        if (other >= phase || !volume->own.phase[other])
            continue;
        Pair *pair = &view->pair[view->pairs++];
        pair->before = neighbour(&volume->own, &volume->geometry, phase, time, before, &occupied);
        pair->after = neighbour(&volume->own, &volume->geometry, phase, time, after, &occupied);
        pair->sum = sum_of(after);
        pair->weight = weights[weight_of(after)] >> 6;
    }
}

static void view_reference(const Volume *volume, const int32_t *weights, int phase, int32_t time, View *view)
{
    int occupied;
    for (int k = 0; k < NEIGHBOURS; k++) {
        const int8_t offset[AXES] = {(int8_t)(k / 9 - 1), (int8_t)(k / 3 % 3 - 1), (int8_t)(k % 3 - 1)};
        const int16_t *plane = neighbour(&volume->reference, &volume->geometry, phase, time, offset, &occupied);
        if (plane)
            view->box[view->boxes++] = plane;
        if (distance(offset) > 1)
            continue;
        int axis = sum_of(offset), after = offset[0] + offset[1] + offset[2] > 0;
        view->star[distance(offset) ? 1 + 2 * axis + after : 0] = plane ? plane : volume->nothing.at;
    }
    view->reference_weight = weights[6] >> 6;
    view->star_weight = weights[7] >> 6;
}

static void view_plane(Volume *volume, const Band *band, int phase, int32_t time, const int16_t *weights, View *view)
{
    const int32_t *expected = expected_weights(volume, band, phase);
    start_view(volume, phase, view);
    memcpy(view->weights, weights, sizeof view->weights);
    view_neighbours(volume, expected, phase, time, view);
    view->parents = volume->active;
    view->parent_weight = band->parents ? (expected[5] >> 6) / band->parents : 0;
    for (int k = 0; k < volume->active; k++) {
        const Parent *parent = &volume->parents[k];
        int16_t *own = plane_for(volume, k), *around = plane_for(volume, AXES + k);
        parent_plane(parent, &volume->geometry, phase, time, &parent->own, own);
        parent_plane(parent, &volume->geometry, phase, time, &parent->around, around);
        view->own[k] = own;
        view->around[k] = around;
    }
    if (volume->referenced)
        view_reference(volume, expected, phase, time, view);
}

/* Sets what is found out about the heard places, which are `row` and `column` apart, planes `plane`, from `start` on;
 * keeps samples for the equations. */
static int look(Volume *volume, const Band *band, int phase, const int64_t *apart, const Found *found)
{
    const Path *path = volume->model->path;
    const int32_t *count = volume->geometry.count[phase];
    Samples *samples = &volume->samples;
    memset(samples, 0, offsetof(Samples, places));
    if (!phase_count(&volume->geometry, phase))
        return NNZ_OK;
    if (lay_out(volume, phase, apart[2], apart[3]) != NNZ_OK)
        return NNZ_MEMORY;
    const int64_t sum = find_heard(volume, phase), *heard_in = volume->heard_in.at;
    if (!sum)
        return NNZ_OK;
    int16_t weights[INPUTS];
    uint8_t constants[CONSTANTS], numbers[ROWS];
    const int prior = volume->prior[phase][INPUTS][INPUTS] != 0;
    memcpy(constants, band->constants, sizeof constants);
    constants[CONSTANTS - 1] = (uint8_t)solve(prior ? volume->prior[phase] : volume->within, weights);
    path->pack(volume->model, phase, numbers, number_rows(volume, phase, numbers), constants, &volume->network);
    samples->every = 1 + sum / SAMPLES;
    for (int32_t t = 0; t < count[0]; t++) {
        if (!heard_in[t])
            continue;
        View view;
        view_plane(volume, band, phase, t, weights, &view);
        const Places places = {volume->places.at, (int32_t)(apart[0] + t * apart[1])};
        path->look(&view, (uint32_t *)volume->heard.at + t * blocks_in(view.length), &places, &volume->network,
                   &volume->batch, samples, found);
    }
    path->flush(&volume->network, &volume->batch, found);
    return NNZ_OK;
}

/* Learns from the coefficients of the phase, at the places of the samples: context_model.SubbandContexts.put. */
static void learn(Volume *volume, int32_t number, int phase, const int32_t *values)
{
    Equations own;
    if (!volume->samples.count)
        return;
    volume->model->path->equations(&volume->samples, values, own);
    for (int i = 0; i <= INPUTS; i++)
        for (int j = 0; j <= INPUTS; j++) {
            volume->learnt[number][phase][i][j] += own[i][j];
            if (i >= REFERENCE_SUM && j >= REFERENCE_SUM)
                volume->within[i][j] += own[i][j];
        }
}

/* --- what is done with it ---------------------------------------------------------------------------------------- */

static const uint8_t *as_asked(uint8_t *used)
{
    for (int table = 0; table < TABLES; table++)
        used[table] = (uint8_t)table;
    return used;
}

static int holds_any(const Volume *volume, const Band *band, const int32_t *values)
{
    int32_t any = 0;
    for (int32_t t = 0; t < band->size[0]; t++)
        for (int32_t y = 0; y < band->size[1] && !any; y++) {
            const int32_t *row = values + start_of(volume, band) + t * plane_of(volume) + y * row_of(volume);
            for (int32_t x = 0; x < band->size[2]; x++)
                any |= row[x];
        }
    return any != 0;
}

static void make_silent(const Volume *volume, const Band *band, const Found *found)
{
    for (int32_t t = 0; t < band->size[0]; t++)
        for (int32_t y = 0; y < band->size[1]; y++) {
            const int64_t at = start_of(volume, band) + t * plane_of(volume) + y * row_of(volume);
            memset(found->offsets + at, 0, (size_t)band->size[2] * sizeof *found->offsets);
            memset(found->tables + at, 0, (size_t)band->size[2]);
            memset(found->classes + at, SIGN_CLASSES / 2, (size_t)band->size[2]);
        }
}

/* rounding.Rounding.shrunk for the places of a phase, which are `apart`. */
static void shrink_phase(const Volume *volume, int phase, const int64_t *apart, const Rounding *rounding,
                         const Found *found, int32_t *values)
{
    const Quantiser *quantiser = volume->model->path->quantiser;
    const int32_t *count = volume->geometry.count[phase];
    int64_t zeros = 0, others = 0;
    for (int32_t t = 0; t < count[0]; t++)
        for (int32_t y = 0; y < count[1]; y++) {
            const int64_t at = apart[0] + t * apart[1] + y * apart[2];
            quantiser->silent(found->tables + at, values + at, count[2], &zeros, &others);
        }
    const uint8_t quiet = silent_table(zeros, others);
    for (int32_t t = 0; t < count[0]; t++)
        for (int32_t y = 0; y < count[1]; y++)
            quantiser->shrink(rounding, found, quiet, apart[0] + t * apart[1] + y * apart[2], count[2], values);
}

static int plan_band(Volume *volume, int32_t number, const int32_t *reference, const Rounding *rounding,
                     const Found *found, int32_t *values)
{
    const Band *band = &volume->bands[number];
    const int64_t row = row_of(volume), plane = plane_of(volume), start = start_of(volume, band);
    const int wrong = enter(volume, number, values, reference);
    if (wrong != NNZ_OK)
        return wrong;
    make_silent(volume, band, found);
    for (int phase = 0; phase < PHASES; phase++) {
        const int8_t *first = PHASE[phase];
        const int64_t apart[] = {start + first[0] * plane + first[1] * row + first[2], 2 * plane, 2 * row, 2};
        if (look(volume, band, phase, apart, found) != NNZ_OK)
            return NNZ_MEMORY;
        if (rounding->scaled)
            shrink_phase(volume, phase, apart, rounding, found, values);
        learn(volume, number, phase, values);
        put_phase(&volume->own, volume->model->path, &volume->geometry, phase, values + start, row, plane);
    }
    if (!rounding->scaled || holds_any(volume, band, values))
        return NNZ_OK;
    volume->entered[number] = 0; /* rounding has emptied it */
    memset(volume->learnt[number], 0, sizeof volume->learnt[number]);
    make_silent(volume, band, found);
    return NNZ_OK;
}

int nnz_plan(Volume *volume, const int32_t *reference, const float *scaled, const float *lengths, const float *signs,
             float lagrangian, int32_t *values, int16_t *offsets, uint8_t *tables, uint8_t *classes, int64_t *heard,
             int64_t *silent, int64_t *signed_counts, int64_t *large, int64_t *away)
{
    uint8_t used[TABLES];
    const Found found = {offsets, tables, classes, as_asked(used), NULL};
    const Rounding rounding = {scaled, lengths, signs, lagrangian};
    const Quantiser *quantiser = volume->model->path->quantiser;
    take_volume(volume, 0, reference);
    for (int32_t number = 0; number < volume->count; number++) {
        const Band *band = &volume->bands[number];
        if (!holds_any(volume, band, values))
            continue;
        const int wrong = plan_band(volume, number, reference, &rounding, &found, values);
        if (wrong != NNZ_OK)
            return wrong;
        if (!volume->entered[number])
            continue;
        const Counts counts = {heard, silent + (int64_t)number * 2 * (LARGEST + 1), signed_counts, large, away};
        for (int32_t t = 0; t < band->size[0]; t++)
            for (int32_t y = 0; y < band->size[1]; y++)
                quantiser->count(volume->model, &found, scaled,
                                 start_of(volume, band) + t * plane_of(volume) + y * row_of(volume), band->size[2],
                                 (t | y) & 1, values, &counts);
    }
    return NNZ_OK;
}

/* Room for the coefficients of a phase, in the order in which they are coded. */
static int reserve_phase(Volume *volume, int64_t count)
{
    return reserve(&volume->tables, (size_t)count, 1) != NNZ_OK ||
                   reserve(&volume->classes, (size_t)count, 1) != NNZ_OK ||
                   reserve(&volume->offsets, (size_t)count, sizeof(int16_t)) != NNZ_OK ||
                   reserve(&volume->coefficients, 4 * (size_t)count + LANES, sizeof(int32_t)) != NNZ_OK
               ? NNZ_MEMORY
               : NNZ_OK;
}

static int within_tables(const uint8_t *tables, int count)
{
    for (int k = 0; k < count; k++)
        if (tables[k] >= TABLES)
            return 0;
    return 1;
}

int nnz_pop_band(Decoder *decoder, Volume *volume, int32_t which, int32_t number, const uint8_t *corrections,
                 const uint8_t *silent, const int32_t *reference, int32_t *values)
{
    if (!within_tables(corrections, TABLES) || !within_tables(silent, 2))
        return NNZ_ARGUMENT;
    int wrong = take_volume(volume, which, reference);
    if (wrong == NNZ_OK)
        wrong = enter(volume, number, values, reference);
    if (wrong != NNZ_OK)
        return wrong;
    const Band *band = &volume->bands[number];
    for (int phase = 0; phase < PHASES; phase++) {
        const int32_t *sizes = volume->geometry.count[phase];
        Phase found = {.count = phase_count(&volume->geometry, phase), .silent = silent[phase > 0]};
        if (!found.count)
            continue;
        if (reserve_phase(volume, found.count) != NNZ_OK)
            return NNZ_MEMORY;
        found.places = volume->coefficients.at;
        found.values = found.places + 2 * found.count;
        found.tables = volume->tables.at;
        found.classes = volume->classes.at;
        found.offsets = volume->offsets.at;
        const Found heard = {volume->offsets.at, volume->tables.at, volume->classes.at, corrections, found.places};
        const int64_t apart[] = {0, (int64_t)sizes[1] * sizes[2], sizes[2], 1};
        if (look(volume, band, phase, apart, &heard) != NNZ_OK)
            return NNZ_MEMORY;
        found.heard = volume->samples.seen;
        wrong = pop_phase(decoder, &found);
        if (wrong != NNZ_OK)
            return wrong;
        learn(volume, number, phase, found.values);
        put_places(&volume->own, &volume->geometry, phase, &found, values + start_of(volume, band), row_of(volume),
                   plane_of(volume));
    }
    return NNZ_OK;
}

int nnz_push_band(Encoder *encoder, Volume *volume, int32_t number, const int32_t *values, const int16_t *offsets,
                  const uint8_t *tables, const uint8_t *classes, const uint8_t *corrections, const uint8_t *silent)
{
    if (number < 0 || number >= volume->count || !within_tables(corrections, TABLES) || !within_tables(silent, 2))
        return NNZ_ARGUMENT;
    const Band *band = &volume->bands[number];
    Geometry geometry;
    measure(&geometry, band->size);
    for (int phase = PHASES - 1; phase >= 0; phase--) {
        const int64_t count = phase_count(&geometry, phase);
        const int32_t *sizes = geometry.count[phase];
        if (!count)
            continue;
        if (reserve_phase(volume, count) != NNZ_OK || reserve(&volume->rest, (size_t)count, sizeof(int64_t)) != NNZ_OK)
            return NNZ_MEMORY;
        uint8_t *used = volume->tables.at, *signs = volume->classes.at;
        int64_t *rest = volume->rest.at, k = 0;
        for (int32_t t = 0; t < sizes[0]; t++)
            for (int32_t y = 0; y < sizes[1]; y++) {
                int64_t at = start_of(volume, band) + (2 * t + PHASE[phase][0]) * plane_of(volume) +
                             (2 * y + PHASE[phase][1]) * row_of(volume) + PHASE[phase][2];
                for (int32_t x = 0; x < sizes[2]; x++, k++, at += 2) {
                    if (tables[at] >= TABLES || classes[at] >= SIGN_CLASSES)
                        return NNZ_ARGUMENT;
                    rest[k] = (int64_t)values[at] - offsets[at];
                    used[k] = tables[at] ? corrections[tables[at]] : silent[phase > 0];
                    signs[k] = classes[at];
                }
            }
        int wrong = push_phase(encoder, rest, used, signs, count);
        if (wrong != NNZ_OK)
            return wrong;
    }
    return NNZ_OK;
}
