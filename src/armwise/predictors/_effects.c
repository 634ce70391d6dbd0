/* Scores and lessons of normal effects: the compiled twin of effects.py, which says what is computed. Plain C over the
 * buffer protocol, so that it builds with nothing but a compiler and Python's headers; where it is not built, the numpy
 * twin serves. Loops run along rows without a running sum, so that compilers may take several entries at once. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__has_attribute)
#if __has_attribute(target_clones) && defined(__x86_64__) && defined(__gnu_linux__)
#define CLONED __attribute__((target_clones("arch=haswell", "default")))
#endif
#endif
#ifndef CLONED
#define CLONED
#endif

typedef Py_ssize_t size;

/* out += a x0 + b x1 + c x2 + d x3, entry by entry: four rows at a time, so that out is read and written once for four. */
#define FOUR(out, row, stride, t, n)                                                                                   \
    for (size i = 0; i < (n); i++)                                                                                     \
        (out)[i] += (row)[i] * (t)[0] + (row)[(stride) + i] * (t)[1] + (row)[2 * (stride) + i] * (t)[2] +              \
                    (row)[3 * (stride) + i] * (t)[3]

/* x' C x of a symmetric matrix, of which the lower half is read; room for d numbers. */
CLONED static double quadratic(const double *restrict c, const double *restrict x, double *restrict room, size d)
{
    double total = 0.0;
    size j = 0;
    for (size i = 0; i < d; i++)
        room[i] = 0.0;
    for (; j + 4 <= d; j += 4) {
        const double *restrict row = c + j * d;
        double twice[4] = {2.0 * x[j], 2.0 * x[j + 1], 2.0 * x[j + 2], 2.0 * x[j + 3]};
        FOUR(room, row, d, twice, j);
        for (size k = 0; k < 4; k++) {
            for (size i = 0; i < k; i++)
                room[j + i] += row[k * d + j + i] * twice[k];
            room[j + k] += row[k * d + j + k] * x[j + k];
        }
    }
    for (; j < d; j++) {
        const double *restrict row = c + j * d;
        for (size i = 0; i < j; i++)
            room[i] += row[i] * 2.0 * x[j];
        room[j] += row[j] * x[j];
    }
    for (size i = 0; i < d; i++)
        total += room[i] * x[i];
    return total;
}

/* out = strength * C x of a symmetric matrix. */
CLONED static void product(const double *restrict c, const double *restrict x, double strength, double *restrict out,
                           size d)
{
    size j = 0;
    for (size i = 0; i < d; i++)
        out[i] = 0.0;
    for (; j + 4 <= d; j += 4) {
        double times[4] = {strength * x[j], strength * x[j + 1], strength * x[j + 2], strength * x[j + 3]};
        FOUR(out, c + j * d, d, times, d);
    }
    for (; j < d; j++)
        for (size i = 0; i < d; i++)
            out[i] += c[j * d + i] * (strength * x[j]);
}

/* C -= shrink * g g'. */
CLONED static void subtract(double *restrict c, const double *restrict g, double shrink, size d)
{
    for (size j = 0; j < d; j++) {
        double *restrict row = c + j * d;
        double times = shrink * g[j];
        for (size i = 0; i < d; i++)
            row[i] -= times * g[i];
    }
}

static double dot(const double *a, const double *b, size d)
{
    double total = 0.0;
    for (size i = 0; i < d; i++)
        total += a[i] * b[i];
    return total;
}

static void let_go(Py_buffer *buffers, int count)
{
    for (int i = 0; i < count; i++)
        PyBuffer_Release(&buffers[i]);
}

#define NUMBERS(buffer) ((buffer).len / (size)sizeof(double))

static PyObject *scores(PyObject *self, PyObject *args)
{
    Py_buffer b[6] = {{0}}; /* mean, covariance, loading, squared, context, out */
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*w*", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]))
        return NULL;
    size d = NUMBERS(b[4]), effects = d ? NUMBERS(b[0]) / d : 0, arms = NUMBERS(b[5]) / 2;
    if (d < 1 || NUMBERS(b[0]) != effects * d || NUMBERS(b[1]) != effects * d * d ||
        NUMBERS(b[2]) != arms * effects || NUMBERS(b[3]) != arms * effects || NUMBERS(b[5]) != 2 * arms) {
        PyErr_SetString(PyExc_ValueError, "scores needs float64 arrays whose shapes go together");
        goto done;
    }
    const double *mean = b[0].buf, *covariance = b[1].buf, *loading = b[2].buf, *squared = b[3].buf, *x = b[4].buf;
    double *out = b[5].buf, *room = PyMem_Malloc((size_t)(d + 2 * effects) * sizeof(double));
    if (room == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    double *level = room + d, *spread = level + effects;
    for (size e = 0; e < effects; e++) {
        level[e] = dot(mean + e * d, x, d);
        spread[e] = quadratic(covariance + e * d * d, x, room, d);
    }
    for (size a = 0; a < arms; a++) {
        out[a] = dot(loading + a * effects, level, effects);
        out[arms + a] = dot(squared + a * effects, spread, effects);
    }
    PyMem_Free(room);
    answer = Py_NewRef(Py_None);
done:
    let_go(b, 6);
    return answer;
}

/* Whether the places are those of effects that there are. */
static int within(const size *of, size count, size effects)
{
    for (size k = 0; k < count; k++)
        if (of[k] < 0 || of[k] >= effects)
            return 0;
    return 1;
}

static PyObject *gains(PyObject *self, PyObject *args)
{
    Py_buffer b[6] = {{0}}; /* mean, covariance, of, strengths, context, out */
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*w*", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5]))
        return NULL;
    size d = NUMBERS(b[4]), effects = d ? NUMBERS(b[0]) / d : 0, count = NUMBERS(b[3]);
    const size *of = b[2].buf;
    if (d < 1 || NUMBERS(b[1]) != effects * d * d || b[2].len != count * (size)sizeof(size) ||
        NUMBERS(b[5]) != count * d || !within(of, count, effects)) {
        PyErr_SetString(PyExc_ValueError, "gains needs float64 arrays whose shapes go together, and places of effects");
        goto done;
    }
    const double *mean = b[0].buf, *covariance = b[1].buf, *strengths = b[3].buf, *x = b[4].buf;
    double *out = b[5].buf, score = 0.0, variance = 0.0;
    for (size k = 0; k < count; k++) {
        product(covariance + of[k] * d * d, x, strengths[k], out + k * d, d);
        score += strengths[k] * dot(mean + of[k] * d, x, d);
        variance += strengths[k] * dot(out + k * d, x, d);
    }
    answer = Py_BuildValue("dd", score, variance);
done:
    let_go(b, 6);
    return answer;
}

static PyObject *absorb(PyObject *self, PyObject *args)
{
    Py_buffer b[4] = {{0}}; /* mean, covariance, of, gains */
    PyObject *answer = NULL;
    double shrink, step;
    if (!PyArg_ParseTuple(args, "w*w*y*y*dd", &b[0], &b[1], &b[2], &b[3], &shrink, &step))
        return NULL;
    size count = b[2].len / (size)sizeof(size), d = count ? NUMBERS(b[3]) / count : 0;
    size effects = d ? NUMBERS(b[0]) / d : 0;
    const size *of = b[2].buf;
    if (d < 1 || NUMBERS(b[3]) != count * d || NUMBERS(b[1]) != effects * d * d || !within(of, count, effects)) {
        PyErr_SetString(PyExc_ValueError, "absorb needs float64 arrays whose shapes go together, and places of effects");
        goto done;
    }
    double *mean = b[0].buf, *covariance = b[1].buf;
    const double *gain = b[3].buf;
    for (size k = 0; k < count; k++) {
        if (shrink != 0.0)
            subtract(covariance + of[k] * d * d, gain + k * d, shrink, d);
        for (size i = 0; i < d; i++)
            mean[of[k] * d + i] += step * gain[k * d + i];
    }
    answer = Py_NewRef(Py_None);
done:
    let_go(b, 4);
    return answer;
}

static PyMethodDef methods[] = {
    {"scores", scores, METH_VARARGS, "scores(mean, covariance, loading, squared, context, out): fills out."},
    {"gains", gains, METH_VARARGS, "gains(mean, covariance, of, strengths, context, out): score and variance."},
    {"absorb", absorb, METH_VARARGS, "absorb(mean, covariance, of, gains, shrink, step): changes both in place."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_effects", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__effects(void)
{
    return PyModule_Create(&module);
}
