/* Decoding. */
#include <stdlib.h>
#include <string.h>

#include "ans.h"

struct Decoder {
    const Model *model;
    uint64_t state;
    uint32_t *words;
    size_t left;
    int64_t read;
    Sorting sorting;
};

static const uint64_t FULL = (uint64_t)1 << 32;

Decoder *nnz_decoder_new(const Model *model, const uint8_t *bytes, int64_t size)
{
    if (size < 1)
        return NULL;
    Decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return NULL;
    size_t count = ((size_t)size + 3) / 4;
    decoder->model = model;
    decoder->words = calloc(count, sizeof *decoder->words);
    if (!decoder->words) {
        free(decoder);
        return NULL;
    }
    for (size_t i = 0; i < (size_t)size; i++)
        decoder->words[i / 4] |= (uint32_t)bytes[i] << (8 * (i % 4));
    decoder->left = count - 1;
    decoder->state = decoder->words[count - 1];
    if (decoder->left && decoder->state < FULL)
        decoder->state = decoder->state << 32 | decoder->words[--decoder->left];
    return decoder;
}

void nnz_decoder_free(Decoder *decoder)
{
    if (!decoder)
        return;
    release_sorting(&decoder->sorting);
    free(decoder->words);
    free(decoder);
}

int64_t nnz_decoder_read(const Decoder *decoder) { return decoder->read; }

int nnz_decoder_finished(const Decoder *decoder) { return !decoder->left && decoder->state == 1; }

/* --- single symbols ---------------------------------------------------------------------------------------------- */

/* A decoder's place in its stream, in registers while a chunk is read. */
typedef struct {
    uint64_t state;
    const uint32_t *words;
    size_t left;
} Reading;

static Reading start(const Decoder *decoder) { return (Reading){decoder->state, decoder->words, decoder->left}; }

static void stop(Decoder *decoder, const Reading *reading)
{
    decoder->state = reading->state;
    decoder->left = reading->left;
}

/* Takes off a symbol of frequency `width` that begins at `from` of the quantile. */
static inline void take(Reading *reading, uint32_t from, uint32_t width)
{
    reading->state = (uint64_t)width * (reading->state >> PRECISION) + ((uint32_t)reading->state & QUANTILE) - from;
    if (reading->state < FULL && reading->left)
        reading->state = reading->state << 32 | reading->words[--reading->left];
}

/* A magnitude, or one more than the limit for an escape. */
static inline int32_t take_magnitude(Reading *reading, const Table *table)
{
    const uint32_t quantile = (uint32_t)reading->state & QUANTILE, *from = table->one_sided;
    if (quantile < from[1]) {
        take(reading, 0, from[1]);
        return 0;
    }
    int32_t found = table->quick[quantile >> (PRECISION - QUICK_BITS)];
    while (from[found + 1] <= quantile)
        found++;
    take(reading, from[found], from[found + 1] - from[found]);
    return found;
}

/* Whether a sign is positive, which it is with frequency `width`. */
static inline int take_sign(Reading *reading, uint32_t width)
{
    const uint32_t negative = QUANTILE + 1 - width;
    const int positive = ((uint32_t)reading->state & QUANTILE) >= negative;
    take(reading, positive ? negative : 0, positive ? width : negative);
    return positive;
}

static uint32_t take_uniform(Reading *reading, uint32_t size)
{
    const uint32_t each = ((uint32_t)1 << PRECISION) / size, number = ((uint32_t)reading->state & QUANTILE) / each;
    const uint32_t found = number < size ? number : size - 1;
    take(reading, found * each, found == size - 1 ? ((uint32_t)1 << PRECISION) - found * each : each);
    return found;
}

/* --- chunks ------------------------------------------------------------------------------------------------------ */

/* Excesses of the escapes of a chunk, and their classes, into `sorting`. */
static int pop_escapes(Decoder *decoder, int64_t count, int both_signs)
{
    Sorting *sorting = &decoder->sorting;
    if (reserve(&sorting->excess, (size_t)count, sizeof(int64_t)) != NNZ_OK ||
        reserve(&sorting->lengths, (size_t)count, 1) != NNZ_OK)
        return NNZ_MEMORY;
    int64_t *excess = sorting->excess.at;
    uint8_t *classes = sorting->lengths.at;
    Reading reading = start(decoder);
    for (int64_t k = 0; k < count; k++) {
        classes[k] = (uint8_t)take_uniform(&reading, both_signs ? BOTH_ESCAPE_CLASSES : ESCAPE_CLASSES);
        int length = both_signs ? classes[k] >> 1 : classes[k];
        excess[k] = length ? (int64_t)1 << bits_below(length) : 0;
    }
    for (int high = 0; high < 2; high++)
        for (int64_t k = 0; k < count; k++) {
            int length = both_signs ? classes[k] >> 1 : classes[k];
            int width = high ? high_bits(length) : low_bits(length);
            if (width)
                excess[k] += (int64_t)take_uniform(&reading, (uint32_t)1 << width) << (high ? 16 : 0);
        }
    stop(decoder, &reading);
    return NNZ_OK;
}

/* Magnitudes of `count` places under one table: numbers and values of those that are not zero. Returns how many. */
static int64_t pop_alike(Decoder *decoder, const Table *table, int64_t count, int32_t *numbers, int32_t *values)
{
    int64_t found = 0;
    Reading reading = start(decoder);
    for (int64_t k = 0; k < count; k++) {
        const int32_t value = take_magnitude(&reading, table);
        if (value) {
            numbers[found] = (int32_t)k;
            values[found++] = value;
        }
    }
    stop(decoder, &reading);
    return found;
}

/* From numbers, among the places under the silent table, to places: values of heard ones go to these, the others stay.
 * Appends the escapes among them; returns their new number. */
static int64_t place_alike(const Model *model, int64_t count, int32_t *escapes, int64_t escaped, Phase *phase)
{
    const int32_t limit = model->table[phase->silent].limit;
    int32_t *places = phase->places, *values = phase->values;
    int64_t next = 0, skipped = 0, last = phase->heard;
    for (int64_t k = phase->heard; k < phase->heard + count; k++) {
        int64_t at = last;
        for (; next < phase->heard && places[next] <= places[k] + skipped; next++) {
            if (phase->tables[next] != phase->silent)
                skipped++;
            else if (places[next] == places[k] + skipped)
                at = next;
        }
        const int32_t value = values[k];
        if (at == last)
            places[last++] = (int32_t)(places[k] + skipped);
        values[at] = value;
        if (value > limit)
            escapes[escaped++] = (int32_t)at;
    }
    phase->known = last;
    return escaped;
}

/* The magnitudes of a phase, of escapes one more than the limit. Returns the number of these, whose places in `values` are
 * in sorting->escapes, or minus an error. */
static int64_t pop_magnitudes(Decoder *decoder, Phase *phase)
{
    Sorting *sorting = &decoder->sorting;
    int64_t starts[TABLES + 1], escaped = 0;
    const int wrong = group(phase->tables, phase->heard, sorting, starts);
    if (wrong != NNZ_OK)
        return -wrong;
    if (reserve(&sorting->escapes, (size_t)phase->count, sizeof(int32_t)) != NNZ_OK)
        return -NNZ_MEMORY;
    decoder->read += phase->count;
    phase->known = phase->heard;
    int32_t *escapes = sorting->escapes.at, *values = phase->values;
    const int32_t *order = sorting->order.at;
    for (int number = 0; number < TABLES; number++) {
        const Table *table = &decoder->model->table[number];
        const int64_t alike = starts[number + 1] - starts[number], silent = phase->count - phase->heard;
        if (number == phase->silent && silent) {
            for (int64_t k = starts[number]; k < starts[number + 1]; k++)
                values[order[k]] = 0;
            const int64_t found =
                pop_alike(decoder, table, silent + alike, phase->places + phase->heard, values + phase->heard);
            escaped = place_alike(decoder->model, found, escapes, escaped, phase);
            continue;
        }
        Reading reading = start(decoder);
        for (int64_t k = starts[number]; k < starts[number + 1]; k++) {
            const int32_t found = take_magnitude(&reading, table);
            values[order[k]] = found;
            if (found > table->limit)
                escapes[escaped++] = order[k];
        }
        stop(decoder, &reading);
    }
    if (escaped && pop_escapes(decoder, escaped, 0) != NNZ_OK)
        return -NNZ_MEMORY;
    return escaped;
}

/* Gives the values that are not zero their signs, in the order of their places. */
static int pop_all_signs(Decoder *decoder, const Phase *phase)
{
    if (reserve(&decoder->sorting.order, (size_t)phase->known, sizeof(int32_t)) != NNZ_OK)
        return NNZ_MEMORY;
    int32_t *order = decoder->sorting.order.at, *values = phase->values;
    int64_t count = 0, other = phase->heard;
    for (int64_t k = 0; k < phase->heard; k++) {
        while (other < phase->known && phase->places[other] < phase->places[k])
            order[count++] = (int32_t)other++;
        if (values[k])
            order[count++] = (int32_t)k;
    }
    while (other < phase->known)
        order[count++] = (int32_t)other++;
    Reading reading = start(decoder);
    for (int64_t k = 0; k < count; k++) {
        const uint8_t class = order[k] < phase->heard ? phase->classes[order[k]] : SIGN_CLASSES / 2;
        if (!take_sign(&reading, decoder->model->positive[class]))
            values[order[k]] = -values[order[k]];
    }
    stop(decoder, &reading);
    return NNZ_OK;
}

int pop_phase(Decoder *decoder, Phase *phase)
{
    const int64_t escaped = pop_magnitudes(decoder, phase);
    if (escaped < 0)
        return (int)-escaped;
    if (pop_all_signs(decoder, phase) != NNZ_OK)
        return NNZ_MEMORY;
    const int32_t *escapes = decoder->sorting.escapes.at;
    const int64_t *excess = decoder->sorting.excess.at;
    int32_t *values = phase->values;
    for (int64_t k = 0; k < escaped; k++) {
        const int64_t at = escapes[k];
        const int is_heard = at < phase->heard, offset = is_heard ? phase->offsets[at] : 0;
        const int64_t limit = decoder->model->table[is_heard ? phase->tables[at] : phase->silent].limit;
        const int64_t magnitude = excess[k] + limit + 1, value = values[at] < 0 ? offset - magnitude : offset + magnitude;
        if (value > INT32_MAX || value < INT32_MIN)
            return NNZ_BEYOND;
        values[at] = (int32_t)(value - offset); /* may wrap; the sum below undoes it */
    }
    for (int64_t k = 0; k < phase->heard; k++)
        values[k] = (int32_t)((uint32_t)values[k] + (uint32_t)phase->offsets[k]);
    return NNZ_OK;
}

static int pop_both(Decoder *decoder, const uint8_t *tables, int64_t count, int64_t *symbols)
{
    Sorting *sorting = &decoder->sorting;
    int64_t starts[TABLES + 1], escaped = 0;
    int wrong = group(tables, count, sorting, starts);
    if (wrong != NNZ_OK)
        return wrong;
    if (reserve(&sorting->escapes, (size_t)count, sizeof(int32_t)) != NNZ_OK)
        return NNZ_MEMORY;
    decoder->read += count;
    const int32_t *order = sorting->order.at;
    int32_t *escapes = sorting->escapes.at;
    Reading reading = start(decoder);
    for (int64_t k = 0; k < count; k++) {
        const Table *table = &decoder->model->table[tables[order[k]]];
        uint32_t quantile = (uint32_t)reading.state & QUANTILE;
        int32_t low = 0, high = 2 * table->limit + 1; /* low is at or before the symbol, high at or after it */
        while (low < high) {
            int32_t middle = (low + high + 1) / 2;
            if (table->two_sided[middle] <= quantile)
                low = middle;
            else
                high = middle - 1;
        }
        uint32_t from = table->two_sided[low];
        take(&reading, from, table->two_sided[low + 1] - from);
        symbols[order[k]] = low - table->limit;
        if (low > 2 * table->limit)
            escapes[escaped++] = order[k];
    }
    stop(decoder, &reading);
    if (escaped && pop_escapes(decoder, escaped, 1) != NNZ_OK)
        return NNZ_MEMORY;
    const int64_t *excess = sorting->excess.at;
    const uint8_t *kinds = sorting->lengths.at;
    for (int64_t k = 0; k < escaped; k++) {
        int64_t magnitude = excess[k] + decoder->model->table[tables[escapes[k]]].limit + 1;
        symbols[escapes[k]] = kinds[k] & 1 ? -magnitude : magnitude;
    }
    return NNZ_OK;
}

int nnz_pop(Decoder *decoder, const uint8_t *tables, int64_t count, int both_signs, int64_t *symbols)
{
    if (count <= 0)
        return count < 0 ? NNZ_ARGUMENT : NNZ_OK;
    if (both_signs)
        return pop_both(decoder, tables, count, symbols);
    int32_t *magnitudes = malloc(sizeof *magnitudes * (size_t)count);
    if (!magnitudes)
        return NNZ_MEMORY;
    Phase phase = {.count = count, .heard = count, .tables = tables, .values = magnitudes};
    const int64_t escaped = pop_magnitudes(decoder, &phase);
    for (int64_t i = 0; i < count && escaped >= 0; i++)
        symbols[i] = magnitudes[i];
    free(magnitudes);
    const int32_t *escapes = decoder->sorting.escapes.at;
    const int64_t *excess = decoder->sorting.excess.at;
    for (int64_t k = 0; k < escaped; k++)
        symbols[escapes[k]] = excess[k] + decoder->model->table[tables[escapes[k]]].limit + 1;
    return escaped < 0 ? (int)-escaped : NNZ_OK;
}

int nnz_pop_signs(Decoder *decoder, const uint8_t *classes, int64_t count, uint8_t *positive)
{
    for (int64_t i = 0; i < count; i++)
        if (classes[i] >= SIGN_CLASSES)
            return NNZ_ARGUMENT;
    Reading reading = start(decoder);
    for (int64_t i = 0; i < count; i++)
        positive[i] = (uint8_t)take_sign(&reading, decoder->model->positive[classes[i]]);
    stop(decoder, &reading);
    return NNZ_OK;
}
