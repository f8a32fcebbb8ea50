/* Python values to a profile. */

#ifndef SAMEPORT_PROFILE_H
#define SAMEPORT_PROFILE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine.h"

/* Thirty years: sums of a few such times fit into 64 bits. */
static const long long MOST_NS = 1000000000000000000;

/* These give 0, or -1 with a Python error set. */
int endpoint_of(const char *host, int port, struct sockaddr_storage *to, socklen_t *length);
int take_protocols(const char *transport, const char *codec, struct profile *profile);
int take_sources(PyObject *sources, struct profile *profile);
int take_stages(PyObject *stages, struct profile *profile);

/* Take a request for each route, and the order in which routes are asked for. */
int take_texts(PyObject *texts, const char *turns, Py_ssize_t turns_length, struct profile *profile);

void profile_free(struct profile *profile);

/* NULL with a Python error set: no memory. */
char *copied(const char *data, Py_ssize_t length);

#endif
