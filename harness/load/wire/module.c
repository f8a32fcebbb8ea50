/* The engine and the codecs for Python: harness.load._wire. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "profile.h"

enum { KNOWN_BODIES = 4096, MOST_KNOWN_BODY_BYTES = 4096 };

struct known_body {
    char *data;
    size_t length;
    uint32_t instance;
};

typedef struct {
    PyObject_HEAD
    struct engine *engine;
    PyObject *find; /* gives the name in a body, or None; NULL: bodies name no instance */
    int records;
    struct known_body *bodies; /* by hash; what is found twice there takes turns */
} Engine;

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

static PyObject *Engine_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"endpoint",   "texts", "records", "connections", "timeout_ns", "requests_per_connection",
                            "requests",   "reset", "header",  "find",        "sources",    "stages",
                            "poisson",    "seed",  "turns",   "transport",   "codec",      "think_ns", "once", NULL};
    struct profile profile = {.most_requests = -1};
    const char *host, *header = NULL, *turns = "", *transport = "tcp", *codec = "http1";
    Py_ssize_t header_length = 0, connections, turns_length = 1; /* the first text alone, again and again */
    int port, records, reset = 0, poisson = 0, once = 0;
    unsigned int each = 0;
    unsigned long long seed = 0;
    long long timeout, requests = -1, think = 0;
    PyObject *texts, *find = Py_None, *sources = NULL, *stages = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "(si)OinL|$ILpz#OOOpKy#ssLp", names, &host, &port, &texts, &records,
                                     &connections, &timeout, &each, &requests, &reset, &header, &header_length,
                                     &find, &sources, &stages, &poisson, &seed, &turns, &turns_length, &transport,
                                     &codec, &think, &once))
        return NULL;
    if (connections < 1 || connections > 1000000 || timeout < 1 || timeout > MOST_NS || think < 0 ||
        think > MOST_NS) {
        PyErr_SetString(PyExc_ValueError, "connections can be 1 to 1,000,000, timeout_ns 1 to 10^18, think_ns 0 to that");
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
    profile.think_ns = think;
    profile.once = once;
    profile.most_requests = requests < 0 ? -1 : requests;
    profile.close_by_reset = reset;
    profile.poisson = poisson;
    profile.seed = seed;
    profile.named = header || find != Py_None;
    profile.name_body = name_in_body;
    profile.context = self;
    profile.wanted = (struct wanted){.header_length = (size_t)header_length, .body = find != Py_None};
    if (take_protocols(transport, codec, &profile) || endpoint_of(host, port, &profile.endpoint, &profile.endpoint_length) ||
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
     "odd_answer()\n--\n\nGive the first bytes of the first answer that was malformed or named no instance."},
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

/* Feed the pieces to a codec until it says how the answer ended; gives how many were used, or -1. */
static Py_ssize_t feed(const struct codec_ops *codec, void *state, const struct wanted *wanted, PyObject *pieces,
                       enum verdict *verdict, struct answer *answer) {
    Py_ssize_t used = 0;
    struct span out = {0};
    if (!codec->begin(state, &out))
        *verdict = NO_MEMORY;
    while (*verdict == NEED_MORE && used < PyList_GET_SIZE(pieces)) {
        char *data;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(pieces, used++), &data, &length))
            return -1;
        /* A copy of exactly this size, so that a sanitizer notices reading beyond it. */
        char *copy = copied(data, length);
        if (!copy)
            return -1;
        *verdict = codec->feed(state, wanted, (struct span){copy, (size_t)length}, answer, &out);
        free(copy);
    }
    return used;
}

static PyObject *read_answer(PyObject *Py_UNUSED(module), PyObject *args) {
    static const char *const verdicts[] = {"need more", "complete", "malformed", "truncated", "no memory"};
    PyObject *pieces, *found = NULL;
    const char *header, *name = "http1";
    Py_ssize_t header_length;
    int body;
    if (!PyArg_ParseTuple(args, "O!z#p|s", &PyList_Type, &pieces, &header, &header_length, &body, &name))
        return NULL;
    const struct codec_ops *codec = codec_find(name);
    if (!codec)
        return PyErr_Format(PyExc_ValueError, "the compiled data plane has no codec %s", name);
    struct wanted wanted = {header, (size_t)header_length, body};
    struct answer answer = {0};
    enum verdict verdict = NEED_MORE;
    void *state = calloc(1, codec->state_bytes);
    if (!state)
        return PyErr_NoMemory();
    Py_ssize_t used = feed(codec, state, &wanted, pieces, &verdict, &answer);
    if (used >= 0)
        found = Py_BuildValue("(s i y# K O y# n)", verdicts[verdict], answer.status,
                              answer.name.length ? answer.name.data : "", (Py_ssize_t)answer.name.length,
                              (unsigned long long)answer.body_bytes,
                              codec->capacity(state) ? Py_True : Py_False,
                              answer.body.length ? answer.body.data : "", (Py_ssize_t)answer.body.length, used);
    codec->end(state);
    free(state);
    return found;
}

static PyMethodDef functions[] = {
    {"read_answer", read_answer, METH_VARARGS,
     "read_answer(pieces, header, body, codec=\"http1\")\n--\n\nRead one answer from pieces, b\"\" being the end of the stream.\n\n"
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
