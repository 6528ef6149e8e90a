/* Loss and gradients of one batch of the context network, sample by sample in the processor's registers: ten times
   faster on one core than whole arrays at a time. Compiled by network.py. */

#include <math.h>
#include <stdint.h>

enum { PHASES = 8, INPUTS = 36, HIDDEN = 32 };

static const float INPUT_UNIT = 1.0f / 16, UNIT = 1.0f / 64, LARGEST = 255.0f / 64, LN2 = 0.69314718f;
static const float TABLES = 71.0f, CLASSES = 12.0f; /* the last table, the classes on each side of the middle */

/* Rounded down to units within 0 and LARGEST; inside [k] is 1 where the gradient passes. */
static inline void activate(const float *restrict sums, float *restrict values, float *restrict inside) {
    for (int k = 0; k < HIDDEN; k++) {
        float capped = floorf(sums[k] / UNIT) * UNIT;
        values[k] = fminf(fmaxf(capped, 0.0f), LARGEST);
        inside[k] = sums[k] > 0.0f && sums[k] < LARGEST ? 1.0f : 0.0f;
    }
}

static float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }
static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

/* Bits of `rest` under a table and a class (outputs of the network less a half), and their derivatives: the magnitude
   under a two-sided geometric law with odds 2^(table/4 - 10) of not being zero, and the sign. */
static float bits(float table, float class, float rest, float *by_table, float *by_class) {
    float odds = (table / 4 - 10) * LN2;
    *by_class = 0.0f;
    if (rest == 0.0f) {
        *by_table = sigmoid(odds) / 4;
        return softplus(odds) / LN2;
    }
    float some = -softplus(-odds), again = expf(2 * some), more = 2 * (fabsf(rest) - 1);
    float side = rest > 0 ? LN2 / 2 : -LN2 / 2, towards = side * class;
    *by_table = -(1 - 2 * again / (1 - again) + more) * sigmoid(-odds) / 4;
    *by_class = -sigmoid(-towards) * side / LN2;
    return (softplus(-towards) - some - logf(1 - again) - more * some) / LN2;
}

/* inputs [phase, count, INPUTS], rest and weights [phase, count]; layers in real units, already rounded: first [phase,
   INPUTS, HIDDEN], second [in, out] and `turned` [out, in], third [2, HIDDEN]; gradients in the same layouts are added
   to. Returns the weighted bits. */
__attribute__((visibility("default"))) double train_batch(
    const uint8_t *restrict inputs, const float *restrict rest, const float *restrict weights, int64_t count, const float *restrict first,
    const float *restrict first_biases, const float *restrict second, const float *restrict turned, const float *restrict second_biases,
    const float *restrict third, const float *restrict third_biases, float *restrict first_gradients, float *restrict first_bias_gradients,
    float *restrict second_gradients, float *restrict second_bias_gradients, float *restrict third_gradients, float *restrict third_bias_gradients) {
    double total = 0.0;
    for (int64_t n = 0; n < PHASES * count; n++) {
        int64_t phase = n / count;
        const float *restrict w = first + phase * INPUTS * HIDDEN;
        float *restrict g = first_gradients + phase * INPUTS * HIDDEN, x[INPUTS];
        for (int i = 0; i < INPUTS; i++) x[i] = inputs[n * INPUTS + i] * INPUT_UNIT;
        float sums[HIDDEN], one[HIDDEN], two[HIDDEN], inside_one[HIDDEN], inside_two[HIDDEN], back[HIDDEN];
        for (int k = 0; k < HIDDEN; k++) sums[k] = first_biases[phase * HIDDEN + k];
        for (int i = 0; i < INPUTS; i++)
            for (int k = 0; k < HIDDEN; k++) sums[k] += x[i] * w[i * HIDDEN + k];
        activate(sums, one, inside_one);
        for (int k = 0; k < HIDDEN; k++) sums[k] = second_biases[k];
        for (int i = 0; i < HIDDEN; i++)
            for (int k = 0; k < HIDDEN; k++) sums[k] += one[i] * second[i * HIDDEN + k];
        activate(sums, two, inside_two);
        float outputs[2] = {third_biases[0], third_biases[1]};
        for (int k = 0; k < HIDDEN; k++) {
            outputs[0] += two[k] * third[k];
            outputs[1] += two[k] * third[HIDDEN + k];
        }
        float table = 8 * outputs[0] - 0.5f, class = 4 * outputs[1] - 0.5f, by[2];
        float found = bits(fminf(fmaxf(table, 1), TABLES), fminf(fmaxf(class, -CLASSES), CLASSES), rest[n], by, by + 1);
        total += weights[n] * found;
        by[0] *= table >= 1 && table <= TABLES ? 8 * weights[n] : 0;
        by[1] *= class >= -CLASSES && class <= CLASSES ? 4 * weights[n] : 0;
        third_bias_gradients[0] += by[0];
        third_bias_gradients[1] += by[1];
        for (int k = 0; k < HIDDEN; k++) {
            third_gradients[k] += by[0] * two[k];
            third_gradients[HIDDEN + k] += by[1] * two[k];
            back[k] = (by[0] * third[k] + by[1] * third[HIDDEN + k]) * inside_two[k];
            second_bias_gradients[k] += back[k];
            sums[k] = 0;
        }
        for (int i = 0; i < HIDDEN; i++)
            for (int k = 0; k < HIDDEN; k++) {
                second_gradients[i * HIDDEN + k] += one[i] * back[k];
                sums[k] += back[i] * turned[i * HIDDEN + k];
            }
        for (int k = 0; k < HIDDEN; k++) {
            sums[k] *= inside_one[k];
            first_bias_gradients[phase * HIDDEN + k] += sums[k];
        }
        for (int i = 0; i < INPUTS; i++)
            for (int k = 0; k < HIDDEN; k++) g[i * HIDDEN + k] += x[i] * sums[k];
    }
    return total;
}
