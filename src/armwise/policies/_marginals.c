/* Probability that each arm's sampled utility is the highest: the compiled twin of best_arm_probabilities in
 * marginals.py, which says what is computed and why. Plain C over the buffer protocol, so that it builds with nothing
 * but a compiler and Python's headers; where it is not built, the numpy twin serves. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

#define REACH 8      /* deviations covered by the table of the normal distribution function */
#define STEPS 64     /* entries per deviation */
#define ENTRIES (2 * REACH * STEPS + 1)
#define SPAN 4.0     /* deviations beyond which a normal belief is taken to be nothing */
#define LEAST 1e-12  /* least value of a distribution function: it is divided by */

static double below[ENTRIES], density[ENTRIES];

static void fill_tables(void)
{
    for (int i = 0; i < ENTRIES; i++) {
        double z = (double)(i - REACH * STEPS) / STEPS;
        below[i] = 0.5 * erfc(-z / sqrt(2.0));
        density[i] = exp(-0.5 * z * z) / sqrt(2.0 * M_PI);
    }
}

/* Standard normal distribution function by a third-order expansion around the nearest entry: within 1e-9. */
static double normal_cdf(double z)
{
    if (!(z > -REACH))
        return LEAST;
    if (z >= REACH)
        return 1.0;
    int i = (int)((z + REACH) * STEPS + 0.5);
    double near = (double)(i - REACH * STEPS) / STEPS, d = z - near;
    double value = below[i] + density[i] * d * (1.0 + d * (-0.5 * near + d * (near * near - 1.0) / 6.0));
    return value < LEAST ? LEAST : value > 1.0 ? 1.0 : value;
}

static double utility_at(double score, double penalty, int logit)
{
    return (logit ? 1.0 / (1.0 + exp(-score)) : score) - penalty;
}

static double score_at(double quality, int logit)
{
    if (!logit)
        return quality;
    quality = quality < 1e-9 ? 1e-9 : quality > 1.0 - 1e-9 ? 1.0 - 1e-9 : quality;
    return log(quality / (1.0 - quality));
}

static void compute(const double *mean, const double *deviation, const double *penalty, double *out, double *room,
                    Py_ssize_t arms, long nodes, int logit)
{
    double start = -INFINITY, stop = -INFINITY, likeliest = -INFINITY, total = 0.0;
    Py_ssize_t best = 0;
    for (Py_ssize_t a = 0; a < arms; a++) {
        double low = utility_at(mean[a] - SPAN * deviation[a], penalty[a], logit);
        double high = utility_at(mean[a] + SPAN * deviation[a], penalty[a], logit);
        start = low > start ? low : start;
        stop = high > stop ? high : stop;
        if (low + high > likeliest) {
            likeliest = low + high;
            best = a;
        }
        out[a] = 0.0;
    }
    if (!(stop - start > 1e-12)) {
        out[best] = 1.0;
        return;
    }
    double *now = room, *others = room + arms, *earlier = room + 2 * arms, *earlier_others = room + 3 * arms;
    for (long j = 0; j <= nodes; j++) {
        double level = start + (stop - start) * ((double)j / (double)nodes), product = 1.0;
        for (Py_ssize_t a = 0; a < arms; a++) {
            double spread = deviation[a] < 1e-9 ? 1e-9 : deviation[a];
            now[a] = j == nodes ? 1.0 : normal_cdf((score_at(level + penalty[a], logit) - mean[a]) / spread);
            product *= now[a];
        }
        for (Py_ssize_t a = 0; a < arms; a++) {
            others[a] = product / now[a];
            if (j)
                out[a] += (now[a] - earlier[a]) * (others[a] + earlier_others[a]);
        }
        double *swap = earlier;
        earlier = now, now = swap;
        swap = earlier_others;
        earlier_others = others, others = swap;
    }
    for (Py_ssize_t a = 0; a < arms; a++)
        total += out[a];
    for (Py_ssize_t a = 0; a < arms; a++)
        out[a] /= total;
}

static PyObject *best_arm(PyObject *self, PyObject *args)
{
    Py_buffer mean = {0}, deviation = {0}, penalty = {0}, out = {0};
    PyObject *answer = NULL;
    long nodes;
    int logit;
    if (!PyArg_ParseTuple(args, "y*y*y*w*lp", &mean, &deviation, &penalty, &out, &nodes, &logit))
        return NULL;
    Py_ssize_t arms = mean.len / (Py_ssize_t)sizeof(double);
    if (deviation.len != mean.len || penalty.len != mean.len || out.len != mean.len || arms < 1 || nodes < 1) {
        PyErr_SetString(PyExc_ValueError, "best_arm needs four float64 arrays of one length, and at least one node");
        goto done;
    }
    double *room = PyMem_Malloc(4 * (size_t)arms * sizeof(double));
    if (room == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    compute(mean.buf, deviation.buf, penalty.buf, out.buf, room, arms, nodes, logit);
    PyMem_Free(room);
    answer = Py_NewRef(Py_None);
done:
    PyBuffer_Release(&mean);
    PyBuffer_Release(&deviation);
    PyBuffer_Release(&penalty);
    PyBuffer_Release(&out);
    return answer;
}

static PyMethodDef methods[] = {
    {"best_arm", best_arm, METH_VARARGS, "best_arm(mean, deviation, penalty, out, nodes, logit): fills out."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_marginals", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__marginals(void)
{
    fill_tables();
    return PyModule_Create(&module);
}
