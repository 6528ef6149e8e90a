/* Asymmetric numeral systems over the model's tables: nnzip/coder/ans.py and entropy.py, byte for byte.
 *
 * A stream is 32-bit words; the state is kept at 2^32 or more while there are words. A chunk of symbols is coded
 * grouped by table; then follow its escapes: the classes of all (sign and bit length of the excess), then the low 16 of
 * the bits below the leading one of all, then the higher bits of all.
 */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

/* What sorting a chunk by its tables needs. */
typedef struct {
    Buffer order, escapes, excess, lengths;
} Sorting;

enum { ESCAPE_CLASSES = 33, BOTH_ESCAPE_CLASSES = 66 };

struct Encoder {
    const Model *model;
    uint64_t state;
    uint32_t *words;
    size_t count, room;
    Sorting sorting;
};

struct Decoder {
    const Model *model;
    uint64_t state;
    uint32_t *words;
    size_t left;
    int64_t read;
    Sorting sorting;
};

static const uint64_t FULL = (uint64_t)1 << 32;
static const uint32_t QUANTILE = ((uint32_t)1 << PRECISION) - 1;

static void release_sorting(Sorting *sorting)
{
    release(&sorting->order);
    release(&sorting->escapes);
    release(&sorting->excess);
    release(&sorting->lengths);
}

/* --- symbols in groups of their tables --------------------------------------------------------------------------- */

/* Positions of the symbols in stable order of their tables, and where each table's begin. */
static int group(const uint8_t *tables, int64_t count, Sorting *sorting, int64_t *starts)
{
    int64_t found[4][256];
    memset(found, 0, sizeof found);
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; k++)
            found[k][tables[i + k]]++;
    for (; i < count; i++)
        found[0][tables[i]]++;
    int64_t next[TABLES], sum = 0;
    for (int table = 0; table < TABLES; table++) {
        starts[table] = next[table] = sum;
        sum += found[0][table] + found[1][table] + found[2][table] + found[3][table];
    }
    starts[TABLES] = sum;
    if (sum != count || count > INT32_MAX)
        return NNZ_ARGUMENT;
    if (reserve(&sorting->order, (size_t)count, sizeof(int32_t)) != NNZ_OK)
        return NNZ_MEMORY;
    int32_t *order = sorting->order.at;
    for (i = 0; i < count; i++)
        order[next[tables[i]]++] = (int32_t)i;
    return NNZ_OK;
}

static int bits_below(int length) { return length > 0 ? length - 1 : 0; }
static int low_bits(int length) { return bits_below(length) < 16 ? bits_below(length) : 16; }
static int high_bits(int length) { return bits_below(length) - low_bits(length); }

/* --- decoding ---------------------------------------------------------------------------------------------------- */

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

/* One symbol of frequency `width` that begins at `left` of the quantile. */
static inline uint64_t popped(uint64_t state, uint32_t left, uint32_t width)
{
    return (uint64_t)width * (state >> PRECISION) + ((uint32_t)state & QUANTILE) - left;
}

static inline uint64_t refilled(uint64_t state, const uint32_t *words, size_t *left)
{
    return state < FULL && *left ? state << 32 | words[--*left] : state;
}

static uint32_t pop_uniform(Decoder *decoder, uint32_t size)
{
    uint32_t each = ((uint32_t)1 << PRECISION) / size;
    uint32_t found = ((uint32_t)decoder->state & QUANTILE) / each;
    if (found >= size)
        found = size - 1;
    uint32_t width = found == size - 1 ? ((uint32_t)1 << PRECISION) - found * each : each;
    decoder->state = refilled(popped(decoder->state, found * each, width), decoder->words, &decoder->left);
    return found;
}

/* The excess of `count` escapes and, of two-sided ones, whether they are negative, as (class << 56) | excess. */
static int pop_escapes(Decoder *decoder, int64_t count, int both_signs, Sorting *sorting)
{
    if (reserve(&sorting->excess, (size_t)count, sizeof(int64_t)) != NNZ_OK ||
        reserve(&sorting->lengths, (size_t)count, 1) != NNZ_OK)
        return NNZ_MEMORY;
    int64_t *excess = sorting->excess.at;
    uint8_t *classes = sorting->lengths.at;
    for (int64_t k = 0; k < count; k++) {
        classes[k] = (uint8_t)pop_uniform(decoder, both_signs ? BOTH_ESCAPE_CLASSES : ESCAPE_CLASSES);
        int length = both_signs ? classes[k] >> 1 : classes[k];
        excess[k] = length ? (int64_t)1 << bits_below(length) : 0;
    }
    for (int high = 0; high < 2; high++)
        for (int64_t k = 0; k < count; k++) {
            int length = both_signs ? classes[k] >> 1 : classes[k];
            int width = high ? high_bits(length) : low_bits(length);
            if (width)
                excess[k] += (int64_t)pop_uniform(decoder, (uint32_t)1 << width) << (high ? 16 : 0);
        }
    return NNZ_OK;
}

/* Magnitudes of a chunk, int32; of the escapes (their positions in sorting->escapes) one more than the limit. Returns
 * their number, or minus an error. */
static int64_t pop_magnitudes(Decoder *decoder, const uint8_t *tables, int64_t count, Sorting *sorting,
                              int32_t *magnitudes)
{
    int64_t starts[TABLES + 1], escaped = 0;
    int wrong = group(tables, count, sorting, starts);
    if (wrong != NNZ_OK)
        return -wrong;
    if (reserve(&sorting->escapes, (size_t)count, sizeof(int32_t)) != NNZ_OK)
        return -NNZ_MEMORY;
    decoder->read += count;
    const int32_t *order = sorting->order.at;
    int32_t *escapes = sorting->escapes.at;
    const uint32_t *words = decoder->words;
    uint64_t state = decoder->state;
    size_t left = decoder->left;
    for (int number = 0; number < TABLES; number++) {
        const Table *table = &decoder->model->table[number];
        const uint32_t *from = table->one_sided, zero = from[1];
        const int32_t limit = table->limit;
        for (int64_t k = starts[number]; k < starts[number + 1]; k++) {
            uint32_t quantile = (uint32_t)state & QUANTILE;
            int32_t found = 0;
            if (quantile < zero) {
                state = (uint64_t)zero * (state >> PRECISION) + quantile;
            } else {
                found = table->quick[quantile >> (PRECISION - QUICK_BITS)];
                while (from[found + 1] <= quantile)
                    found++;
                state = popped(state, from[found], from[found + 1] - from[found]);
            }
            state = refilled(state, words, &left);
            magnitudes[order[k]] = found;
            if (found > limit)
                escapes[escaped++] = order[k];
        }
    }
    decoder->state = state;
    decoder->left = left;
    if (escaped && pop_escapes(decoder, escaped, 0, sorting) != NNZ_OK)
        return -NNZ_MEMORY;
    return escaped;
}

/* Coefficients: magnitudes, then their signs, plus what was taken off. */
int pop_phase(Decoder *decoder, const uint8_t *tables, const uint8_t *classes, const int16_t *offsets, int64_t count,
              int32_t *values)
{
    Sorting *sorting = &decoder->sorting;
    int64_t escaped = pop_magnitudes(decoder, tables, count, sorting, values);
    if (escaped < 0)
        return (int)-escaped;
    const uint32_t *words = decoder->words;
    uint64_t state = decoder->state;
    size_t left = decoder->left;
    for (int64_t i = 0; i < count; i++) {
        if (values[i]) {
            uint32_t positive = decoder->model->positive[classes[i]], negative = QUANTILE + 1 - positive;
            if (((uint32_t)state & QUANTILE) < negative) {
                state = popped(state, 0, negative);
                values[i] = -values[i];
            } else {
                state = popped(state, negative, positive);
            }
            state = refilled(state, words, &left);
        }
    }
    decoder->state = state;
    decoder->left = left;
    const int32_t *escapes = sorting->escapes.at;
    const int64_t *excess = sorting->excess.at;
    for (int64_t k = 0; k < escaped; k++) {
        int64_t i = escapes[k], magnitude = excess[k] + decoder->model->table[tables[i]].limit + 1;
        int64_t value = (values[i] < 0 ? -magnitude : magnitude) + offsets[i];
        if (value > INT32_MAX || value < INT32_MIN)
            return NNZ_BEYOND;
        values[i] = (int32_t)(value - offsets[i]); /* may wrap; the sum below undoes it */
    }
    for (int64_t i = 0; i < count; i++)
        values[i] = (int32_t)((uint32_t)values[i] + (uint32_t)offsets[i]);
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
    for (int64_t k = 0; k < count; k++) {
        const Table *table = &decoder->model->table[tables[order[k]]];
        uint32_t quantile = (uint32_t)decoder->state & QUANTILE;
        int32_t low = 0, high = 2 * table->limit + 1; /* low is at or before the symbol, high at or after it */
        while (low < high) {
            int32_t middle = (low + high + 1) / 2;
            if (table->two_sided[middle] <= quantile)
                low = middle;
            else
                high = middle - 1;
        }
        uint32_t from = table->two_sided[low];
        decoder->state = popped(decoder->state, from, table->two_sided[low + 1] - from);
        decoder->state = refilled(decoder->state, decoder->words, &decoder->left);
        symbols[order[k]] = low - table->limit;
        if (low > 2 * table->limit)
            escapes[escaped++] = order[k];
    }
    if (escaped && pop_escapes(decoder, escaped, 1, sorting) != NNZ_OK)
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
    int64_t escaped = pop_magnitudes(decoder, tables, count, &decoder->sorting, magnitudes);
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
    for (int64_t i = 0; i < count; i++) {
        uint32_t width = decoder->model->positive[classes[i]], negative = QUANTILE + 1 - width;
        positive[i] = ((uint32_t)decoder->state & QUANTILE) >= negative;
        decoder->state = popped(decoder->state, positive[i] ? negative : 0, positive[i] ? width : negative);
        decoder->state = refilled(decoder->state, decoder->words, &decoder->left);
    }
    return NNZ_OK;
}

/* --- encoding ---------------------------------------------------------------------------------------------------- */

Encoder *nnz_encoder_new(const Model *model)
{
    Encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder) {
        encoder->model = model;
        encoder->state = 1;
    }
    return encoder;
}

void nnz_encoder_free(Encoder *encoder)
{
    if (!encoder)
        return;
    release_sorting(&encoder->sorting);
    free(encoder->words);
    free(encoder);
}

static void state_bytes(uint64_t state, uint8_t *bytes)
{
    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)(state >> (8 * k));
}

int64_t nnz_encoder_size(const Encoder *encoder)
{
    uint8_t bytes[8];
    int64_t size = 8;
    state_bytes(encoder->state, bytes);
    while (size && !bytes[size - 1])
        size--;
    return size + 4 * (int64_t)encoder->count;
}

void nnz_encoder_bytes(const Encoder *encoder, uint8_t *bytes)
{
    uint8_t last[8];
    size_t size = 4 * encoder->count;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(encoder->words[i / 4] >> (8 * (i % 4)));
    state_bytes(encoder->state, last);
    memcpy(bytes + size, last, (size_t)nnz_encoder_size(encoder) - size);
}

/* Room for `count` further words: no symbol adds more than one. */
static int make_room(Encoder *encoder, size_t count)
{
    if (encoder->room - encoder->count >= count)
        return NNZ_OK;
    size_t room = 2 * encoder->room > encoder->count + count ? 2 * encoder->room : encoder->count + count;
    uint32_t *words = room > SIZE_MAX / sizeof *words ? NULL : realloc(encoder->words, room * sizeof *words);
    if (!words)
        return NNZ_MEMORY;
    encoder->words = words;
    encoder->room = room;
    return NNZ_OK;
}

static inline void push(Encoder *encoder, uint32_t left, uint32_t width)
{
    if (encoder->state >> (64 - PRECISION) >= width) {
        encoder->words[encoder->count++] = (uint32_t)encoder->state;
        encoder->state >>= 32;
    }
    uint64_t prefix = encoder->state / width;
    encoder->state = (prefix << PRECISION) + (encoder->state - prefix * width) + left;
}

static void push_uniform(Encoder *encoder, uint32_t size, uint32_t symbol)
{
    uint32_t each = ((uint32_t)1 << PRECISION) / size;
    push(encoder, symbol * each, symbol == size - 1 ? ((uint32_t)1 << PRECISION) - symbol * each : each);
}

static int bit_length(uint64_t value) { return value ? 64 - __builtin_clzll(value) : 0; }

/* Escapes [count] in sorting->excess; odd entries of sorting->lengths are of negative symbols. */
static void push_escapes(Encoder *encoder, int64_t count, int both_signs, Sorting *sorting)
{
    const uint64_t *excess = sorting->excess.at;
    const uint8_t *negative = sorting->lengths.at;
    for (int high = 1; high >= 0; high--)
        for (int64_t k = count - 1; k >= 0; k--) {
            int length = bit_length(excess[k]), width = high ? high_bits(length) : low_bits(length);
            uint64_t rest = length ? excess[k] - ((uint64_t)1 << bits_below(length)) : 0;
            if (width)
                push_uniform(encoder, (uint32_t)1 << width, high ? (uint32_t)(rest >> 16) : (uint32_t)rest & 0xFFFF);
        }
    for (int64_t k = count - 1; k >= 0; k--) {
        uint32_t length = (uint32_t)bit_length(excess[k]);
        if (both_signs)
            push_uniform(encoder, BOTH_ESCAPE_CLASSES, 2 * length + negative[k]);
        else
            push_uniform(encoder, ESCAPE_CLASSES, length);
    }
}

static uint64_t magnitude_of(int64_t symbol) { return symbol < 0 ? 0 - (uint64_t)symbol : (uint64_t)symbol; }

/* Symbols [count]: of both signs, or magnitudes. */
static int push_symbols(Encoder *encoder, const int64_t *symbols, const uint8_t *tables, int64_t count, int both_signs)
{
    Sorting *sorting = &encoder->sorting;
    const Table *table = encoder->model->table;
    int64_t starts[TABLES + 1], escaped = 0;
    int wrong = group(tables, count, sorting, starts);
    if (wrong != NNZ_OK)
        return wrong;
    const int32_t *order = sorting->order.at;
    for (int64_t i = 0; i < count; i++)
        escaped += magnitude_of(symbols[i]) > (uint64_t)table[tables[i]].limit;
    if (make_room(encoder, (size_t)count + 3 * (size_t)escaped) != NNZ_OK)
        return NNZ_MEMORY;
    if (escaped) {
        if (reserve(&sorting->excess, (size_t)escaped, sizeof(uint64_t)) != NNZ_OK ||
            reserve(&sorting->lengths, (size_t)escaped, 1) != NNZ_OK)
            return NNZ_MEMORY;
        uint64_t *excess = sorting->excess.at;
        uint8_t *negative = sorting->lengths.at;
        for (int64_t k = 0, found = 0; k < count; k++) {
            int64_t symbol = symbols[order[k]];
            uint64_t limit = (uint64_t)table[tables[order[k]]].limit;
            if (magnitude_of(symbol) > limit) {
                excess[found] = magnitude_of(symbol) - limit - 1;
                if (excess[found] >> 32)
                    return NNZ_ARGUMENT;
                negative[found++] = symbol < 0;
            }
        }
        push_escapes(encoder, escaped, both_signs, sorting);
    }
    for (int number = TABLES - 1; number >= 0; number--) {
        const int64_t limit = table[number].limit;
        const uint32_t *from = both_signs ? table[number].two_sided : table[number].one_sided;
        for (int64_t k = starts[number + 1] - 1; k >= starts[number]; k--) {
            int64_t symbol = symbols[order[k]], index = both_signs ? symbol + limit : symbol;
            if (magnitude_of(symbol) > (uint64_t)limit)
                index = both_signs ? 2 * limit + 1 : limit + 1;
            push(encoder, from[index], from[index + 1] - from[index]);
        }
    }
    return NNZ_OK;
}

int nnz_push(Encoder *encoder, const int64_t *symbols, const uint8_t *tables, int64_t count, int both_signs)
{
    if (count <= 0)
        return count < 0 ? NNZ_ARGUMENT : NNZ_OK;
    for (int64_t i = 0; i < count && !both_signs; i++)
        if (symbols[i] < 0)
            return NNZ_ARGUMENT;
    return push_symbols(encoder, symbols, tables, count, both_signs);
}

int nnz_push_signs(Encoder *encoder, const uint8_t *positive, const uint8_t *classes, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (classes[i] >= SIGN_CLASSES)
            return NNZ_ARGUMENT;
    if (count < 0)
        return NNZ_ARGUMENT;
    if (make_room(encoder, (size_t)count) != NNZ_OK)
        return NNZ_MEMORY;
    for (int64_t i = count - 1; i >= 0; i--) {
        uint32_t width = encoder->model->positive[classes[i]], negative = QUANTILE + 1 - width;
        push(encoder, positive[i] ? negative : 0, positive[i] ? width : negative);
    }
    return NNZ_OK;
}

/* The chunks of one phase of a subband: magnitudes of `rest` [count], which become magnitudes here, then the signs. */
int push_phase(Encoder *encoder, int64_t *rest, const uint8_t *tables, const uint8_t *classes, int64_t count)
{
    if (make_room(encoder, (size_t)count) != NNZ_OK)
        return NNZ_MEMORY;
    for (int64_t i = count - 1; i >= 0; i--) {
        if (rest[i]) {
            uint32_t positive = encoder->model->positive[classes[i]], negative = QUANTILE + 1 - positive;
            push(encoder, rest[i] > 0 ? negative : 0, rest[i] > 0 ? positive : negative);
            rest[i] = rest[i] < 0 ? -rest[i] : rest[i];
        }
    }
    return push_symbols(encoder, rest, tables, count, 0);
}
