/* What looks at the places of a phase, compiled once for every kind of processor (NNZ_PATH names the build).
 *
 * Places come in blocks of LANES along the rows of a plane. Loops over lanes have a fixed length, so that any compiler
 * makes vectors of them. Whole numbers below 2^24 pass through float for their logarithm: exact.
 */
#include <string.h>

#include "parts.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

#define EACH_LANE for (int l = 0; l < LANES; l++)

typedef struct {
    int16_t sums[INPUTS][LANES];
    uint8_t rows[ROWS][LANES];
    int16_t offsets[LANES];
    int8_t directions[LANES];
} Block;

/* --- which places are heard -------------------------------------------------------------------------------------- */

/* Bits of the lanes in which any of the arrays is not zero. */
static inline uint32_t seen_bits(const int16_t *const *arrays, int32_t count, int64_t at)
{
#if defined(__AVX512BW__)
    __m512i all = _mm512_setzero_si512();
    for (int32_t k = 0; k < count; k++)
        all = _mm512_or_si512(all, _mm512_loadu_si512(arrays[k] + at));
    return _mm512_test_epi16_mask(all, all);
#elif defined(__AVX2__)
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int32_t k = 0; k < count; k++) {
        low = _mm256_or_si256(low, _mm256_loadu_si256((const __m256i *)(arrays[k] + at)));
        high = _mm256_or_si256(high, _mm256_loadu_si256((const __m256i *)(arrays[k] + at + 16)));
    }
    low = _mm256_cmpeq_epi16(low, _mm256_setzero_si256());
    high = _mm256_cmpeq_epi16(high, _mm256_setzero_si256());
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8));
#else
    uint64_t words[LANES / 4] = {0}; /* of four lanes */
    for (int32_t k = 0; k < count; k++)
        for (int w = 0; w < LANES / 4; w++) {
            uint64_t word;
            memcpy(&word, arrays[k] + at + 4 * w, sizeof word);
            words[w] |= word;
        }
    int16_t lanes[LANES];
    uint32_t bits = 0;
    memcpy(lanes, words, sizeof lanes);
    EACH_LANE bits |= (uint32_t)(lanes[l] != 0) << l;
    return bits;
#endif
}

static int64_t heard(const View *view, uint32_t *bits)
{
    int64_t count = 0;
    for (int64_t block = 0, at = 0; at < view->length; block++, at += LANES) {
        bits[block] = seen_bits(view->seen_at, view->seen, at) & view->valid[block];
        count += __builtin_popcount(bits[block]);
    }
    return count;
}

/* --- what surrounds a block: context.Surroundings._batch --------------------------------------------------------- */

/* 8 log2(1 + value), linear between powers of two and rounded down. */
static inline uint8_t logarithm(int32_t value)
{
    float number = (float)(value + 1);
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (uint8_t)((bits >> 20) - (127 << 3));
}

static inline int32_t magnitude(int32_t value) { return value < 0 ? -value : value; }

static void look_at_neighbours(const View *view, int64_t at, Block *block, int32_t *expected)
{
    for (int k = 0; k < view->pairs; k++) {
        const Pair *pair = &view->pair[k];
        const int16_t *before = pair->before + at, *after = pair->after + at;
        int16_t *sums = block->sums[pair->sum];
        const int32_t weight = pair->weight;
        uint8_t *row = block->rows[k];
        int16_t sizes[LANES];
        EACH_LANE sums[l] = (int16_t)(sums[l] + before[l] + after[l]);
        EACH_LANE sizes[l] = (int16_t)(magnitude(before[l]) + magnitude(after[l]));
        EACH_LANE expected[l] += sizes[l] * weight;
        EACH_LANE row[l] = logarithm(sizes[l]);
    }
}

/* Sums of the magnitudes of some arrays. */
static inline void add_magnitudes(const int16_t *const *arrays, int32_t count, int64_t at, int16_t *sum)
{
#if defined(__AVX512BW__)
    __m512i all = _mm512_setzero_si512();
    for (int32_t k = 0; k < count; k++)
        all = _mm512_add_epi16(all, _mm512_abs_epi16(_mm512_loadu_si512(arrays[k] + at)));
    _mm512_storeu_si512(sum, all);
#elif defined(__AVX2__)
    __m256i low = _mm256_setzero_si256(), high = low;
    for (int32_t k = 0; k < count; k++) {
        const __m256i *from = (const __m256i *)(arrays[k] + at);
        low = _mm256_add_epi16(low, _mm256_abs_epi16(_mm256_loadu_si256(from)));
        high = _mm256_add_epi16(high, _mm256_abs_epi16(_mm256_loadu_si256(from + 1)));
    }
    _mm256_storeu_si256((__m256i *)sum, low);
    _mm256_storeu_si256((__m256i *)sum + 1, high);
#else
    EACH_LANE sum[l] = 0;
    for (int32_t k = 0; k < count; k++)
        EACH_LANE sum[l] = (int16_t)(sum[l] + magnitude(arrays[k][at + l]));
#endif
}

static void look_at_reference(const View *view, int64_t at, Block *block, int row, int32_t *expected)
{
    int16_t sum[LANES];
    for (int axis = -1; axis < AXES; axis++) {
        const int16_t *before = view->star[axis < 0 ? 0 : 1 + 2 * axis] + at, *after = view->star[2 + 2 * axis] + at;
        const int32_t weight = axis < 0 ? view->reference_weight : view->star_weight;
        int16_t *sums = block->sums[REFERENCE_SUM + 1 + axis];
        uint8_t *found = block->rows[row + 1 + axis];
        int16_t sizes[LANES];
        if (axis < 0) {
            EACH_LANE sums[l] = before[l];
            EACH_LANE sizes[l] = (int16_t)magnitude(before[l]);
        } else {
            EACH_LANE sums[l] = (int16_t)(before[l] + after[l]);
            EACH_LANE sizes[l] = (int16_t)(magnitude(before[l]) + magnitude(after[l]));
        }
        EACH_LANE expected[l] += sizes[l] * weight;
        EACH_LANE found[l] = logarithm(sizes[l]);
    }
    add_magnitudes(view->box, view->boxes, at, sum);
    EACH_LANE block->rows[row + 4][l] = logarithm(sum[l]);
}

static void predict(const View *view, Block *block, int row)
{
    int32_t predicted[LANES] = {0}, sizes[LANES], offsets[LANES], rest[LANES];
    for (int k = 0; k < INPUTS; k++) {
        const int32_t weight = view->weights[k];
        const int16_t *sums = block->sums[k];
        if (weight)
            EACH_LANE predicted[l] += sums[l] * weight;
    }
    EACH_LANE sizes[l] = magnitude(predicted[l]);
    EACH_LANE offsets[l] = (sizes[l] + 45) >> 7;
    EACH_LANE offsets[l] = offsets[l] > LARGEST ? LARGEST : offsets[l];
    EACH_LANE rest[l] = sizes[l] - offsets[l] * 128 + 45;
    EACH_LANE block->rows[row][l] = logarithm(sizes[l]);
    EACH_LANE block->rows[row + 1][l] = (uint8_t)(rest[l] > 127 ? 127 : rest[l]);
    EACH_LANE block->offsets[l] = (int16_t)(predicted[l] < 0 ? -offsets[l] : offsets[l]);
    EACH_LANE block->directions[l] = predicted[l] < 0 ? -1 : 1;
}

static void look_at_block(const View *view, int64_t at, Block *block)
{
    int32_t expected[LANES] = {0};
    memset(block->sums, 0, sizeof block->sums);
    look_at_neighbours(view, at, block, expected);
    int row = view->pairs + 1;
    for (int k = 0; k < view->parents; k++, row += 2) {
        const int16_t *own = view->own[k] + at, *around = view->around[k] + at;
        const int32_t weight = view->parent_weight;
        EACH_LANE expected[l] += own[l] * weight;
        EACH_LANE block->rows[row][l] = logarithm(own[l]);
        EACH_LANE block->rows[row + 1][l] = logarithm(around[l]);
    }
    if (view->boxes) {
        look_at_reference(view, at, block, row, expected);
        row += 5;
    }
    EACH_LANE block->rows[view->pairs][l] = logarithm(expected[l]);
    predict(view, block, row);
}

/* --- the network: context_network.ContextNetwork ----------------------------------------------------------------- */

static inline int32_t within(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* The network's outputs for `width` places from `first` on, of which the batch may hold fewer. */
static inline __attribute__((always_inline)) void conclude(const Batch *batch, int32_t first, int width, int32_t *tables,
                                                           int32_t *signs, const Found *found)
{
    const int32_t middle = SIGN_CLASSES / 2, count = batch->count - first < width ? batch->count - first : width;
    for (int l = 0; l < width; l++)
        tables[l] = within(tables[l] >> 9, 1, TABLES - 1);
    for (int l = 0; l < width; l++)
        signs[l] = within((signs[l] >> 10) * batch->directions[first + l], -middle, middle) + middle;
    for (int32_t l = 0; l < count; l++) {
        const int32_t at = batch->places[first + l];
        found->tables[at] = found->used[tables[l]];
        found->classes[at] = (uint8_t)signs[l];
        found->offsets[at] = batch->offsets[first + l];
    }
}

#if defined(__AVX512VNNI__) || defined(__AVX2__)

#if defined(__AVX512VNNI__)
enum { GROUP = 4, WIDTH = 16, TOGETHER = 16 };
typedef __m512i Vector;

static inline Vector same(int32_t value) { return _mm512_set1_epi32(value); }
static inline Vector dot(Vector sum, Vector inputs, int32_t weights)
{
    return _mm512_dpbusd_epi32(sum, inputs, _mm512_set1_epi32(weights));
}
/* Four outputs, shifted and within 0 to 255, as the bytes of each word. */
static inline Vector activations(const Vector *sums, int shift)
{
    const Vector order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    Vector moved[4];
    for (int k = 0; k < 4; k++)
        moved[k] = _mm512_srai_epi32(sums[k], (unsigned)shift);
    const Vector low = _mm512_packs_epi32(moved[0], moved[1]), high = _mm512_packs_epi32(moved[2], moved[3]);
    return _mm512_shuffle_epi8(_mm512_packus_epi16(low, high), order);
}
static inline Vector joined(const Vector *parts)
{
    Vector low = _mm512_or_si512(parts[0], _mm512_slli_epi32(parts[1], 8));
    Vector high = _mm512_or_si512(parts[2], _mm512_slli_epi32(parts[3], 8));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}
static inline Vector row_of(const uint8_t *row) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)row)); }
static inline void put_away(int32_t *to, Vector from) { _mm512_storeu_si512(to, from); }
#else
enum { GROUP = 2, WIDTH = 8, TOGETHER = 8 };
typedef __m256i Vector;

static inline Vector same(int32_t value) { return _mm256_set1_epi32(value); }
static inline Vector dot(Vector sum, Vector inputs, int32_t weights)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(inputs, _mm256_set1_epi32(weights)));
}
/* Two outputs, shifted and within 0 to 255, as the halves of each word. */
static inline Vector activations(const Vector *sums, int shift)
{
    const Vector order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    const Vector both = _mm256_packus_epi32(_mm256_srai_epi32(sums[0], shift), _mm256_srai_epi32(sums[1], shift));
    return _mm256_shuffle_epi8(_mm256_min_epu16(both, _mm256_set1_epi16(255)), order);
}
static inline Vector joined(const Vector *parts) { return _mm256_or_si256(parts[0], _mm256_slli_epi32(parts[1], 16)); }
static inline Vector row_of(const uint8_t *row) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)row)); }
static inline void put_away(int32_t *to, Vector from) { _mm256_storeu_si256((__m256i *)to, from); }
#endif

enum { INPUT_GROUPS = (ROWS + GROUP - 1) / GROUP, HIDDEN_GROUPS = HIDDEN / GROUP };

/* Weights [outputs, inputs] as words of GROUP inputs. */
static void pack_layer(const int8_t *weights, int outputs, int inputs, int32_t *words)
{
    const int bits = 32 / GROUP, groups = (inputs + GROUP - 1) / GROUP;
    const uint32_t mask = ((uint32_t)1 << bits) - 1;
    for (int o = 0; o < outputs; o++)
        for (int g = 0; g < groups; g++) {
            uint32_t word = 0;
            for (int k = 0; k < GROUP && g * GROUP + k < inputs; k++)
                word |= ((uint32_t)weights[o * inputs + g * GROUP + k] & mask) << (bits * k);
            words[o * groups + g] = (int32_t)word;
        }
}

static inline __attribute__((always_inline)) void layer(const Vector *inputs, int groups, const int32_t *words,
                                                        const int32_t *bias, int shift, Vector *outputs)
{
    for (int o = 0; o < HIDDEN; o += TOGETHER) {
        Vector sums[TOGETHER];
        for (int k = 0; k < TOGETHER; k++)
            sums[k] = same(bias[o + k]);
        for (int g = 0; g < groups; g++)
            for (int k = 0; k < TOGETHER; k++)
                sums[k] = dot(sums[k], inputs[g], words[(o + k) * groups + g]);
        for (int k = 0; k < TOGETHER / GROUP; k++)
            outputs[o / GROUP + k] = activations(sums + k * GROUP, shift);
    }
}

static void evaluate(const Network *network, const Batch *batch, int32_t first, const Found *found)
{
    Vector inputs[INPUT_GROUPS], hidden[HIDDEN_GROUPS], deeper[HIDDEN_GROUPS];
    const int groups = (network->rows + GROUP - 1) / GROUP;
    for (int g = 0; g < groups; g++) {
        Vector rows[GROUP];
        for (int k = 0; k < GROUP; k++)
            rows[k] = row_of(batch->rows[g * GROUP + k] + first);
        inputs[g] = joined(rows);
    }
    layer(inputs, groups, network->first, network->bias, 4, hidden);
    layer(hidden, HIDDEN_GROUPS, network->second, network->second_bias, 6, deeper);
    Vector table = same(network->third_bias[0]), sign = same(network->third_bias[1]);
    for (int g = 0; g < HIDDEN_GROUPS; g++) {
        table = dot(table, deeper[g], network->third[g]);
        sign = dot(sign, deeper[g], network->third[HIDDEN_GROUPS + g]);
    }
    int32_t tables[WIDTH], signs[WIDTH];
    put_away(tables, table);
    put_away(signs, sign);
    conclude(batch, first, WIDTH, tables, signs, found);
}

#else

enum { WIDTH = 1 };

static void pack_layer(const int8_t *weights, int outputs, int inputs, int32_t *words)
{
    int16_t *found = (int16_t *)words; /* rows of HIDDEN */
    for (int o = 0; o < outputs; o++)
        for (int k = 0; k < HIDDEN; k++)
            found[o * HIDDEN + k] = k < inputs ? weights[o * inputs + k] : 0;
}

static inline int32_t dot(const int16_t *inputs, const int16_t *weights)
{
    int32_t sum = 0;
    for (int k = 0; k < HIDDEN; k++)
        sum += inputs[k] * weights[k];
    return sum;
}

static void evaluate(const Network *network, const Batch *batch, int32_t place, const Found *found)
{
    const int16_t *first = (const int16_t *)network->first, *second = (const int16_t *)network->second;
    const int16_t *third = (const int16_t *)network->third;
    int16_t inputs[HIDDEN] = {0}, hidden[HIDDEN], deeper[HIDDEN];
    for (int k = 0; k < network->rows; k++)
        inputs[k] = batch->rows[k][place];
    for (int o = 0; o < HIDDEN; o++)
        hidden[o] = (int16_t)within((network->bias[o] + dot(inputs, first + o * HIDDEN)) >> 4, 0, 255);
    for (int o = 0; o < HIDDEN; o++)
        deeper[o] = (int16_t)within((network->second_bias[o] + dot(hidden, second + o * HIDDEN)) >> 6, 0, 255);
    int32_t table = network->third_bias[0] + dot(deeper, third);
    int32_t sign = network->third_bias[1] + dot(deeper, third + HIDDEN);
    conclude(batch, place, WIDTH, &table, &sign, found);
}

#endif

static void pack(const Model *model, int phase, const uint8_t *numbers, int rows, const uint8_t *constants,
                 Network *network)
{
    int8_t weights[HIDDEN * ROWS];
    for (int o = 0; o < HIDDEN; o++) {
        const int8_t *all = model->first[phase][o];
        network->bias[o] = model->first_bias[phase][o];
        for (int k = 0; k < CONSTANTS; k++)
            network->bias[o] += all[ROWS + k] * constants[k];
        for (int k = 0; k < rows; k++)
            weights[o * rows + k] = all[numbers[k]];
    }
    pack_layer(weights, HIDDEN, rows, network->first);
    if (network->rows) { /* the further layers are the same for all phases */
        network->rows = rows;
        return;
    }
    network->rows = rows;
    pack_layer(model->second[0], HIDDEN, HIDDEN, network->second);
    pack_layer(model->third[0], OUTPUTS, HIDDEN, network->third);
    memcpy(network->second_bias, model->second_bias, sizeof network->second_bias);
    memcpy(network->third_bias, model->third_bias, sizeof network->third_bias);
}

static void flush(const Network *network, Batch *batch, const Found *found)
{
    for (int32_t first = 0; first < batch->count; first += WIDTH)
        evaluate(network, batch, first, found);
    batch->count = 0;
}

/* --- from blocks to batches -------------------------------------------------------------------------------------- */

static void gather(const Block *block, uint32_t bits, int rows, const Places *places, int64_t at, int64_t seen,
                   const Found *found, Batch *batch)
{
    const int32_t first = batch->count;
    const int32_t *within = places->within + at;
    int32_t *listed = found->places ? found->places + seen : batch->places + first;
    for (int32_t k = 0; k < LANES && found->places; k++)
        batch->places[first + k] = (int32_t)seen + k;
#if defined(__AVX512VBMI2__)
    const int32_t count = __builtin_popcount(bits);
    const __m512i base = _mm512_set1_epi32(places->base);
    for (int part = 0; part < 2; part++) {
        const __mmask16 mask = (__mmask16)(bits >> (16 * part));
        const __m512i here = _mm512_add_epi32(base, _mm512_loadu_si512(within + 16 * part));
        _mm512_storeu_si512(listed, _mm512_maskz_compress_epi32(mask, here));
        listed += __builtin_popcount(mask);
    }
    for (int row = 0; row < rows; row++)
        _mm256_storeu_si256((__m256i *)(batch->rows[row] + first),
                            _mm256_maskz_compress_epi8(bits, _mm256_loadu_si256((const __m256i *)block->rows[row])));
    _mm256_storeu_si256((__m256i *)(batch->directions + first),
                        _mm256_maskz_compress_epi8(bits, _mm256_loadu_si256((const __m256i *)block->directions)));
    _mm512_storeu_si512(batch->offsets + first,
                        _mm512_maskz_compress_epi16(bits, _mm512_loadu_si512(block->offsets)));
#else
    uint8_t lanes[LANES];
    int32_t count = 0;
    for (uint32_t left = bits; left; left &= left - 1)
        lanes[count++] = (uint8_t)__builtin_ctz(left);
    for (int32_t k = 0; k < count; k++)
        listed[k] = places->base + within[lanes[k]];
    for (int row = 0; row < rows; row++)
        for (int32_t k = 0; k < count; k++)
            batch->rows[row][first + k] = block->rows[row][lanes[k]];
    for (int32_t k = 0; k < count; k++) {
        batch->directions[first + k] = block->directions[lanes[k]];
        batch->offsets[first + k] = block->offsets[lanes[k]];
    }
#endif
    batch->count = first + count;
}

static void sample(const Block *block, uint32_t bits, const int32_t *places, Samples *samples)
{
    int64_t here = samples->seen;
    samples->seen += __builtin_popcount(bits);
    for (; samples->next < samples->seen && bits; here++, places++, bits &= bits - 1) {
        if (here < samples->next)
            continue;
        const int lane = __builtin_ctz(bits);
        const int32_t k = samples->count++;
        samples->places[k] = *places;
        for (int input = 0; input < INPUTS; input++)
            samples->sums[input][k] = block->sums[input][lane];
        samples->next += samples->every;
    }
}

static void look(const View *view, const uint32_t *bits, const Places *places, const Network *network, Batch *batch,
                 Samples *samples, const Found *found)
{
    for (int64_t number = 0, at = 0; at < view->length; number++, at += LANES) {
        Block block;
        if (!bits[number])
            continue;
        look_at_block(view, at, &block);
        const int32_t first = batch->count;
        gather(&block, bits[number], network->rows, places, at, samples->seen, found, batch);
        sample(&block, bits[number], batch->places + first, samples);
        if (batch->count >= BATCH)
            flush(network, batch, found);
    }
}

/* --- further loops that gain from vectors ------------------------------------------------------------------------ */

/* Sums over 3 x 3 x 3 places of a padded array of `shape` without its padding. scratch: one padded plane and a row. */
static void box(const int16_t *padded, const int32_t *shape, int16_t *sums, int16_t *scratch)
{
    const int64_t columns = shape[2] + 2, plane = (shape[1] + 2) * columns;
    for (int64_t t = 0; t < shape[0]; t++) {
        const int16_t *from = padded + t * plane;
        for (int64_t k = 0; k < plane; k++)
            scratch[k] = (int16_t)(from[k] + from[k + plane] + from[k + 2 * plane]);
        for (int64_t y = 0; y < shape[1]; y++) {
            int16_t *row = scratch + plane, *to = sums + (t * shape[1] + y) * shape[2];
            const int16_t *rows = scratch + y * columns;
            for (int64_t x = 0; x < columns; x++)
                row[x] = (int16_t)(rows[x] + rows[x + columns] + rows[x + 2 * columns]);
            for (int64_t x = 0; x < shape[2]; x++)
                to[x] = (int16_t)(row[x] + row[x + 1] + row[x + 2]);
        }
    }
}

/* `count` coefficients, `step` apart, within LARGEST; returns their bits joined. */
static inline int32_t capped(const int32_t *restrict values, int64_t step, int64_t count, int16_t *restrict found)
{
    int32_t any = 0;
    for (int64_t k = 0; k < count; k++) {
        const int32_t value = within(values[step * k], -LARGEST, LARGEST);
        any |= value;
        found[k] = (int16_t)value;
    }
    return any;
}

static int32_t cap(const int32_t *values, int64_t step, int64_t count, int16_t *found)
{
    return step == 2 ? capped(values, 2, count, found) : capped(values, 1, count, found);
}

static void cap_row(const int32_t *restrict values, int64_t count, int16_t *restrict even, int16_t *restrict odd,
                    int32_t *any)
{
    int32_t evens = 0, odds = 0;
    for (int64_t k = 0; k < count / 2; k++) {
        const int32_t first = within(values[2 * k], -LARGEST, LARGEST);
        const int32_t second = within(values[2 * k + 1], -LARGEST, LARGEST);
        evens |= first;
        odds |= second;
        even[k] = (int16_t)first;
        odd[k] = (int16_t)second;
    }
    if (count % 2) {
        const int32_t last = within(values[count - 1], -LARGEST, LARGEST);
        evens |= last;
        even[count / 2] = (int16_t)last;
    }
    any[0] |= evens;
    any[1] |= odds;
}

static void sizes_of(int16_t *values, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        values[k] = (int16_t)magnitude(values[k]);
}

enum { CHUNK = 1024 }; /* samples whose products add up within 32 bits */

static inline int32_t exponent_of(int32_t value)
{
    float number = (float)value;
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (bits >> 23) - 127;
}

static void equations(const Samples *samples, const int32_t *values, Equations own)
{
    memset(own, 0, sizeof(Equations));
    for (int32_t first = 0; first < samples->count; first += CHUNK) {
        const int32_t count = samples->count - first < CHUNK ? samples->count - first : CHUNK;
        int16_t rows[INPUTS + 1][CHUNK];
        int32_t halvings[CHUNK];
        for (int32_t k = 0; k < count; k++) {
            int32_t size = 1;
            for (int input = 0; input < INPUTS; input++)
                size += magnitude(samples->sums[input][first + k]);
            halvings[k] = exponent_of(size) > 3 ? exponent_of(size) - 3 : 0;
        }
        for (int input = 0; input < INPUTS; input++)
            for (int32_t k = 0; k < count; k++)
                rows[input][k] = (int16_t)(samples->sums[input][first + k] * 16 >> halvings[k]);
        for (int32_t k = 0; k < count; k++) {
            int32_t value = within(values[samples->places[first + k]], -LARGEST, LARGEST);
            rows[INPUTS][k] = (int16_t)within(value * 16 >> halvings[k], -1024, 1024);
        }
        for (int i = 0; i <= INPUTS; i++)
            for (int j = 0; j <= i; j++) {
                int32_t sum = 0;
                for (int32_t k = 0; k < count; k++)
                    sum += rows[i][k] * rows[j][k];
                own[i][j] += sum;
            }
    }
    for (int i = 0; i <= INPUTS; i++)
        for (int j = 0; j < i; j++)
            own[j][i] = own[i][j];
}

extern const Transforms NAMED(transforms_, NNZ_PATH);
extern const Quantiser NAMED(quantiser_, NNZ_PATH);

const Path NAMED(path_, NNZ_PATH) = {TEXT(NNZ_PATH), heard, pack, look, flush, box, equations, cap, cap_row, sizes_of,
                                     &NAMED(transforms_, NNZ_PATH), &NAMED(quantiser_, NNZ_PATH)};
