/* Python values to a profile: each gives 0, or -1 with a Python error set. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <arpa/inet.h>
#include <string.h>

#include "profile.h"

enum { MOST_REQUEST_BYTES = 1 << 30 };

int endpoint_of(const char *host, int port, struct sockaddr_storage *to, socklen_t *length) {
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

char *copied(const char *data, Py_ssize_t length) {
    char *copy = malloc(length ? (size_t)length : 1);
    if (copy)
        memcpy(copy, data, (size_t)length);
    else
        PyErr_NoMemory();
    return copy;
}

int take_protocols(const char *transport, const char *codec, struct profile *profile) {
    profile->transport = transport_find(transport);
    profile->codec = codec_find(codec);
    if (profile->transport && profile->codec)
        return 0;
    PyErr_Format(PyExc_ValueError, "the compiled data plane has no %s over %s", codec, transport);
    return -1;
}

int take_sources(PyObject *sources, struct profile *profile) {
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

int take_stages(PyObject *stages, struct profile *profile) {
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

int take_texts(PyObject *texts, const char *turns, Py_ssize_t turns_length, struct profile *profile) {
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

void profile_free(struct profile *profile) {
    free(profile->sources);
    free(profile->stages);
    for (size_t i = 0; i < profile->texts_length; i++)
        free(profile->texts[i].data);
    free(profile->texts);
    free(profile->turns);
    free((char *)profile->wanted.header);
}
