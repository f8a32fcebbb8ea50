/* The engine and the parser for Python: harness.load._wire. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"

enum { KNOWN_BODIES = 4096, MOST_KNOWN_BODY_BYTES = 4096, MOST_REQUEST_BYTES = 1 << 30 };

/* Thirty years: sums of a few such times fit into 64 bits. */
static const long long MOST_NS = 1000000000000000000;

struct known_body {
    char *data;
    size_t length;
    uint32_t instance;
};

typedef struct {
    PyObject_HEAD
    struct engine *engine;
    PyObject *find; /* gives the name in a body, or None; NULL: bodies name nobody */
    int records;
    struct known_body *bodies; /* by hash; what is found twice there takes turns */
} Engine;

static int endpoint_of(const char *host, int port, struct sockaddr_storage *to, socklen_t *length) {
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    memset(to, 0, sizeof *to);
    if (port >= 0 && port <= 65535) {
        if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
            four->sin_family = AF_INET;
            four->sin_port = htons((uint16_t)port);
            *length = sizeof *four;
            return 0;
        }
        if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
            six->sin6_family = AF_INET6;
            six->sin6_port = htons((uint16_t)port);
            *length = sizeof *six;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError, "not a numeric address and a port: %s, %d", host, port);
    return -1;
}

/* Ask Python for the name in a body that was not met before. In the engine's thread. */
static uint32_t ask_for_name(Engine *self, const char *body, size_t length) {
    uint32_t instance = NO_INSTANCE;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *name = PyObject_CallFunction(self->find, "y#", body ? body : "", (Py_ssize_t)length);
    if (name && name != Py_None && !PyBytes_Check(name))
        PyErr_Format(PyExc_TypeError, "find must give bytes or None, not %s", Py_TYPE(name)->tp_name);
    else if (name && name != Py_None && PyBytes_GET_SIZE(name))
        instance = engine_identity(self->engine, PyBytes_AS_STRING(name), (size_t)PyBytes_GET_SIZE(name));
    Py_XDECREF(name);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable(self->find);
    PyGILState_Release(state);
    return instance;
}

static uint32_t name_in_body(void *context, const char *body, size_t length) {
    Engine *self = context;
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
    if (!length || length > MOST_KNOWN_BODY_BYTES)
        return ask_for_name(self, body, length);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)body[i]) * 0x100000001b3;
    struct known_body *known = &self->bodies[hash % KNOWN_BODIES];
    if (known->length == length && !memcmp(known->data, body, length))
        return known->instance;
    uint32_t instance = ask_for_name(self, body, length);
    char *copy = realloc(known->data, length);
    if (copy) {
        memcpy(copy, body, length);
        *known = (struct known_body){copy, length, instance};
    }
    return instance;
}

static char *copied(const char *data, Py_ssize_t length) {
    char *copy = malloc(length ? (size_t)length : 1);
    if (copy)
        memcpy(copy, data, (size_t)length);
    else
        PyErr_NoMemory();
    return copy;
}

static int take_sources(PyObject *sources, struct profile *profile) {
    PyObject *list = PySequence_Fast(sources, "sources must be a sequence of addresses");
    if (!list)
        return -1;
    Py_ssize_t length = PySequence_Fast_GET_SIZE(list);
    int failed = 0;
    profile->sources = calloc(length ? (size_t)length : 1, sizeof *profile->sources);
    if (!profile->sources) {
        PyErr_NoMemory();
        failed = -1;
    }
    for (Py_ssize_t i = 0; !failed && i < length; i++) {
        const char *address = PyUnicode_AsUTF8(PySequence_Fast_GET_ITEM(list, i));
        socklen_t size = 0;
        failed = address ? endpoint_of(address, 0, &profile->sources[i], &size) : -1;
        if (!failed && size != profile->endpoint_length) {
            PyErr_SetString(PyExc_ValueError, "sources and endpoint must be of one address family");
            failed = -1;
        }
    }
    profile->sources_length = failed ? 0 : (size_t)length;
    Py_DECREF(list);
    return failed;
}

static int take_stages(PyObject *stages, struct profile *profile) {
    PyObject *list = PySequence_Fast(stages, "stages must be a sequence of (rate_per_s, lasts_ns)");
    if (!list)
        return -1;
    Py_ssize_t length = PySequence_Fast_GET_SIZE(list);
    long long left = MOST_NS;
    int failed = 0;
    profile->stages = calloc(length ? (size_t)length : 1, sizeof *profile->stages);
    if (!profile->stages) {
        PyErr_NoMemory();
        failed = -1;
    }
    for (Py_ssize_t i = 0; !failed && i < length; i++) {
        double rate;
        long long lasts;
        if (!PyArg_ParseTuple(PySequence_Fast_GET_ITEM(list, i), "dL", &rate, &lasts)) {
            failed = -1;
        } else if (!(rate >= 0 && rate <= 1e9) || lasts < 1 || lasts > left) {
            PyErr_SetString(PyExc_ValueError, "a stage has a rate from 0 to 1e9 and lasts 1 ns to 30 years");
            failed = -1;
        } else {
            left -= lasts;
            profile->stages[i] = (struct stage){rate, lasts};
        }
    }
    profile->stages_length = failed ? 0 : (size_t)length;
    Py_DECREF(list);
    return failed;
}

/* Take a request for each route, and the order in which routes are asked for. */
static int take_texts(PyObject *texts, const char *turns, Py_ssize_t turns_length, struct profile *profile) {
    PyObject *list = PySequence_Fast(texts, "texts must be a sequence of bytes");
    if (!list)
        return -1;
    Py_ssize_t length = PySequence_Fast_GET_SIZE(list);
    int failed = 0;
    profile->texts = calloc(length ? (size_t)length : 1, sizeof *profile->texts);
    if (!profile->texts) {
        PyErr_NoMemory();
        failed = -1;
    }
    for (Py_ssize_t i = 0; !failed && i < length; i++) {
        char *data;
        Py_ssize_t size;
        failed = PyBytes_AsStringAndSize(PySequence_Fast_GET_ITEM(list, i), &data, &size);
        if (!failed && (size < 1 || size > MOST_REQUEST_BYTES)) {
            PyErr_SetString(PyExc_ValueError, "a request has a byte to a gibibyte");
            failed = -1;
        }
        if (!failed && !(profile->texts[i].data = copied(data, size)))
            failed = -1;
        if (!failed) {
            profile->texts[i].length = (size_t)size;
            profile->texts_length = (size_t)i + 1;
        }
    }
    for (Py_ssize_t i = 0; !failed && i < turns_length; i++)
        if ((unsigned char)turns[i] >= length)
            failed = -1;
    if (!PyErr_Occurred() && (failed || !turns_length)) {
        PyErr_SetString(PyExc_ValueError, "turns must be numbers of texts, and one at least");
        failed = -1;
    }
    if (!failed && !(profile->turns = (uint8_t *)copied(turns, turns_length)))
        failed = -1;
    profile->turns_length = failed ? 0 : (size_t)turns_length;
    Py_DECREF(list);
    return failed;
}

static void profile_free(struct profile *profile) {
    free(profile->sources);
    free(profile->stages);
    for (size_t i = 0; i < profile->texts_length; i++)
        free(profile->texts[i].data);
    free(profile->texts);
    free(profile->turns);
    free((char *)profile->wanted.header);
}

static PyObject *Engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"endpoint",   "texts", "records", "connections", "timeout_ns", "requests_per_connection",
                            "requests",   "reset", "header",  "find",        "sources",    "stages",
                            "poisson",    "seed",  "turns",   NULL};
    struct profile profile = {.most_requests = -1};
    const char *host, *header = NULL, *turns = "";
    Py_ssize_t header_length = 0, connections, turns_length = 1; /* the first text alone, again and again */
    int port, records, reset = 0, poisson = 0;
    unsigned int each = 0;
    unsigned long long seed = 0;
    long long timeout, requests = -1;
    PyObject *texts, *find = Py_None, *sources = NULL, *stages = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "(si)OinL|$ILpz#OOOpKy#", names, &host, &port, &texts, &records,
                                     &connections, &timeout, &each, &requests, &reset, &header, &header_length,
                                     &find, &sources, &stages, &poisson, &seed, &turns, &turns_length))
        return NULL;
    if (connections < 1 || connections > 1000000 || timeout < 1 || timeout > MOST_NS) {
        PyErr_SetString(PyExc_ValueError, "connections can be 1 to 1,000,000, and timeout_ns 1 to 10^18");
        return NULL;
    }
    if (find != Py_None && !PyCallable_Check(find)) {
        PyErr_SetString(PyExc_TypeError, "find must be callable");
        return NULL;
    }
    Engine *self = (Engine *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    self->records = -1;
    profile.requests_per_connection = each;
    profile.timeout_ns = timeout;
    profile.most_requests = requests < 0 ? -1 : requests;
    profile.close_by_reset = reset;
    profile.poisson = poisson;
    profile.seed = seed;
    profile.named = header || find != Py_None;
    profile.name_body = name_in_body;
    profile.context = self;
    profile.wanted = (struct wanted){.header_length = (size_t)header_length, .body = find != Py_None};
    if (endpoint_of(host, port, &profile.endpoint, &profile.endpoint_length) ||
        take_texts(texts, turns, turns_length, &profile) ||
        (header && !(profile.wanted.header = copied(header, header_length))) ||
        (sources && take_sources(sources, &profile)) || (stages && take_stages(stages, &profile)))
        goto failed;
    if (find != Py_None) {
        self->find = Py_NewRef(find);
        self->bodies = calloc(KNOWN_BODIES, sizeof *self->bodies);
        if (!self->bodies) {
            PyErr_NoMemory();
            goto failed;
        }
    }
    /* The engine writes to a descriptor of its own, whatever becomes of the caller's. */
    self->records = fcntl(records, F_DUPFD_CLOEXEC, 3);
    self->engine = self->records < 0 ? NULL : engine_new(&profile, self->records, (size_t)connections);
    if (!self->engine) {
        PyErr_SetFromErrno(PyExc_OSError);
        goto failed;
    }
    return (PyObject *)self;
failed:
    profile_free(&profile);
    Py_DECREF(self);
    return NULL;
}

static void Engine_dealloc(Engine *self) {
    if (self->engine) {
        engine_stop(self->engine);
        /* Whoever lets go of the last reference in `find` (as the collector of garbage may) can't wait for the
           thread that it is: it ends by itself, and what it uses until then is not given back. */
        if (engine_is_caller(self->engine)) {
            pthread_detach(pthread_self());
            return;
        }
        Py_BEGIN_ALLOW_THREADS /* the thread may be waiting for the interpreter */
            engine_join(self->engine);
        Py_END_ALLOW_THREADS
        engine_free(self->engine);
    }
    for (size_t i = 0; self->bodies && i < KNOWN_BODIES; i++)
        free(self->bodies[i].data);
    free(self->bodies);
    if (self->records >= 0)
        close(self->records);
    Py_XDECREF(self->find);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *Engine_start(Engine *self, PyObject *args) {
    long long start, end;
    if (!PyArg_ParseTuple(args, "LL", &start, &end))
        return NULL;
    if (start < 0 || start > MOST_NS) {
        PyErr_SetString(PyExc_ValueError, "start_ns must be a time of the monotonic clock");
        return NULL;
    }
    int error = engine_start(self->engine, start, end);
    if (error) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_RETURN_NONE;
}

static PyObject *Engine_set_users(Engine *self, PyObject *args) {
    Py_ssize_t users;
    if (!PyArg_ParseTuple(args, "n", &users))
        return NULL;
    engine_set_users(self->engine, users < 0 ? 0 : (size_t)users);
    Py_RETURN_NONE;
}

static PyObject *Engine_stop(Engine *self, PyObject *Py_UNUSED(ignored)) {
    engine_stop(self->engine);
    Py_RETURN_NONE;
}

static PyObject *Engine_join(Engine *self, PyObject *Py_UNUSED(ignored)) {
    if (engine_is_caller(self->engine)) {
        PyErr_SetString(PyExc_RuntimeError, "find can't wait for the thread that calls it");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
        engine_join(self->engine);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *Engine_counters(Engine *self, PyObject *Py_UNUSED(ignored)) {
    const struct counters *counters = engine_counters(self->engine);
    PyObject *by_error = PyList_New(ERRORS);
    for (Py_ssize_t i = 0; by_error && i < ERRORS; i++) {
        PyObject *count = PyLong_FromLongLong(counters->by_error[i]);
        if (!count)
            Py_CLEAR(by_error);
        else
            PyList_SET_ITEM(by_error, i, count);
    }
    if (!by_error)
        return NULL;
    return Py_BuildValue("{sL sL sL sL sL sL sL sL sN}", "requests", counters->requests, "body_bytes",
                         counters->body_bytes, "attempts", counters->attempts, "established",
                         counters->established, "resent", counters->resent, "lost_records",
                         counters->lost_records, "unsent", counters->unsent, "cpu_ns", counters->cpu_ns, "by_error",
                         by_error);
}

static void take_identity(void *list, const char *name, size_t length) {
    PyObject *bytes = PyBytes_FromStringAndSize(name, (Py_ssize_t)length);
    if (bytes) {
        PyList_Append(list, bytes); /* an error stays set */
        Py_DECREF(bytes);
    }
}

static PyObject *Engine_identities(Engine *self, PyObject *args) {
    Py_ssize_t from = 0;
    if (!PyArg_ParseTuple(args, "|n", &from))
        return NULL;
    PyObject *list = PyList_New(0);
    if (list)
        engine_identities(self->engine, from < 0 ? 0 : (size_t)from, take_identity, list);
    if (list && PyErr_Occurred())
        Py_CLEAR(list);
    return list;
}

static PyObject *Engine_odd_answer(Engine *self, PyObject *Py_UNUSED(ignored)) {
    char answer[ODD_BYTES];
    size_t length = engine_odd_answer(self->engine, answer, sizeof answer);
    return PyBytes_FromStringAndSize(answer, (Py_ssize_t)length);
}

static PyObject *Engine_failure(Engine *self, PyObject *Py_UNUSED(ignored)) {
    return PyLong_FromLong(engine_failure(self->engine));
}

static PyObject *Engine_done_fd(Engine *self, PyObject *Py_UNUSED(ignored)) {
    return PyLong_FromLong(engine_done_fd(self->engine));
}

static PyMethodDef engine_methods[] = {
    {"start", (PyCFunction)Engine_start, METH_VARARGS,
     "start(start_ns, end_ns)\n--\n\nBegin, in a thread of its own; none begins at end_ns or later."},
    {"set_users", (PyCFunction)Engine_set_users, METH_VARARGS,
     "set_users(users)\n--\n\nSay how many users there are to be from now on (closed loop)."},
    {"stop", (PyCFunction)Engine_stop, METH_NOARGS,
     "stop()\n--\n\nLet no further request begin; those under way are finished."},
    {"join", (PyCFunction)Engine_join, METH_NOARGS, "join()\n--\n\nWait until the thread has ended."},
    {"counters", (PyCFunction)Engine_counters, METH_NOARGS,
     "counters()\n--\n\nGive what was counted so far, by name; by_error in the order of ERRORS."},
    {"identities", (PyCFunction)Engine_identities, METH_VARARGS,
     "identities(first=0)\n--\n\nGive the names of the instances, in the order of their first answer, as bytes."},
    {"odd_answer", (PyCFunction)Engine_odd_answer, METH_NOARGS,
     "odd_answer()\n--\n\nGive the first bytes of the first answer that was malformed or named nobody."},
    {"failure", (PyCFunction)Engine_failure, METH_NOARGS,
     "failure()\n--\n\nGive the errno of what went wrong with the engine itself; 0 if nothing did."},
    {"done_fd", (PyCFunction)Engine_done_fd, METH_NOARGS,
     "done_fd()\n--\n\nGive a descriptor that is readable when the thread has ended."},
    {NULL},
};

static PyTypeObject engine_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "harness.load._wire.Engine",
    .tp_basicsize = sizeof(Engine),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Load from one thread; see harness/load/wire/engine.h.",
    .tp_new = Engine_new,
    .tp_dealloc = (destructor)Engine_dealloc,
    .tp_methods = engine_methods,
};

static PyObject *parse(PyObject *Py_UNUSED(module), PyObject *args) {
    static const char *const verdicts[] = {"need more", "complete", "malformed", "truncated", "no memory"};
    PyObject *pieces;
    const char *header;
    Py_ssize_t header_length;
    int body;
    if (!PyArg_ParseTuple(args, "O!z#p", &PyList_Type, &pieces, &header, &header_length, &body))
        return NULL;
    struct parser parser = {0};
    struct wanted wanted = {header, (size_t)header_length, body};
    enum verdict verdict = NEED_MORE;
    Py_ssize_t used = 0;
    while (verdict == NEED_MORE && used < PyList_GET_SIZE(pieces)) {
        char *data;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(pieces, used++), &data, &length)) {
            parser_free(&parser);
            return NULL;
        }
        /* A copy of exactly this size, so that reading beyond it is noticed by who looks for that. */
        char *copy = copied(data, length);
        if (!copy) {
            parser_free(&parser);
            return NULL;
        }
        verdict = parser_feed(&parser, &wanted, copy, (size_t)length);
        free(copy);
    }
    PyObject *found = Py_BuildValue(
        "(s i y# K O y# n)", verdicts[verdict], parser.status, parser.name.length ? parser.name.data : "",
        (Py_ssize_t)parser.name.length, (unsigned long long)parser.body_bytes,
        parser_keeps(&parser) ? Py_True : Py_False, parser.body.length ? parser.body.data : "",
        (Py_ssize_t)parser.body.length, used);
    parser_free(&parser);
    return found;
}

static PyMethodDef functions[] = {
    {"parse", parse, METH_VARARGS,
     "parse(pieces, header, body)\n--\n\nRead one answer from pieces, b\"\" being the end of the stream.\n\n"
     "Gives what came of it, its status, the name in the header field (in lower case), how long its body is,\n"
     "whether the connection can go on, the body if it is wanted, and how many pieces were used."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "harness.load._wire",
    .m_doc = "The compiled data plane: an event loop that sends requests and records every one.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__wire(void) {
    PyObject *module = PyModule_Create(&definition);
    if (!module || PyType_Ready(&engine_type) || PyModule_AddObjectRef(module, "Engine", (PyObject *)&engine_type) ||
        PyModule_AddIntConstant(module, "RECORD_BYTES", sizeof(struct record))) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
