/* Load from one thread: users or arrivals, sockets, and a record for every request. */

#ifndef SAMEPORT_ENGINE_H
#define SAMEPORT_ENGINE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "record.h"
#include "transport.h"

enum { MOST_IDENTITIES = 65535, ODD_BYTES = 300 };

/* A request as it is sent. */
struct text {
    char *data;
    size_t length;
};

/* Arrivals at one rate, for a while. */
struct stage {
    double rate_per_s;
    int64_t lasts_ns;
};

/* Give the index of the instance that a body names, or NO_INSTANCE; in the engine's thread. */
typedef uint32_t (*name_body)(void *context, const char *body, size_t length);

struct profile {
    const struct transport_ops *transport;
    const struct codec_ops *codec;
    struct sockaddr_storage endpoint;
    socklen_t endpoint_length;
    struct sockaddr_storage *sources; /* with port 0; none: the kernel chooses */
    size_t sources_length;
    struct text *texts; /* a request for each route; one where there are no routes */
    size_t texts_length;
    uint8_t *turns; /* the order in which routes are asked for, over and over */
    size_t turns_length;
    uint32_t requests_per_connection; /* 0: as many as the server lets it */
    int64_t timeout_ns;
    int64_t most_requests; /* negative: no limit */
    int64_t think_ns;      /* between an answer and the next request of the same user (closed loop) */
    bool once;             /* a request must not be sent twice, as its method is not idempotent */
    bool close_by_reset;
    struct wanted wanted;
    bool named; /* whether an answer has to name its instance */
    name_body name_body;
    void *context;
    struct stage *stages; /* none: a closed loop */
    size_t stages_length;
    bool poisson;
    uint64_t seed;
};

/* What the engine tells others while it runs; each is written by its thread alone. */
struct counters {
    _Atomic int64_t requests, body_bytes, attempts, established, resent, lost_records;
    _Atomic int64_t unsent; /* arrivals that found no free connection before the end */
    _Atomic int64_t cpu_ns;
    _Atomic int64_t by_error[ERRORS];
};

struct engine;

/* Make one; NULL without memory or descriptors, with errno set. It takes over what the profile points to. */
struct engine *engine_new(const struct profile *profile, int records, size_t most_connections);

/* Begin, once: requests start until `end_ns` of the monotonic clock. Gives 0 or an errno. */
int engine_start(struct engine *engine, int64_t start_ns, int64_t end_ns);

/* Say how many users there are to be (closed loop). From any thread. */
void engine_set_users(struct engine *engine, size_t users);

/* Let no further request begin; those under way are finished. From any thread. */
void engine_stop(struct engine *engine);

/* Wait until the thread has ended, if it was started. From any thread but its own. */
void engine_join(struct engine *engine);

/* Whether this is called in the engine's own thread, by `name_body`. */
bool engine_is_caller(const struct engine *engine);

/* Readable when the thread has ended. */
int engine_done_fd(const struct engine *engine);

/* errno of what went wrong with the engine itself, 0 if nothing did. */
int engine_failure(const struct engine *engine);

const struct counters *engine_counters(const struct engine *engine);

/* Copy the identities from the `from`th on, through `take`; from any thread. */
void engine_identities(struct engine *engine, size_t from, void (*take)(void *to, const char *, size_t),
                       void *to);

/* Find or add an identity; NO_INSTANCE when there are too many. In the engine's thread. */
uint32_t engine_identity(struct engine *engine, const char *name, size_t length);

/* The beginning of the first odd answer; 0 bytes if there was none. From any thread. */
size_t engine_odd_answer(struct engine *engine, char *to, size_t most);

/* Give everything back; the thread has been joined, or never started. */
void engine_free(struct engine *engine);

#endif
