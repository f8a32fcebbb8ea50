/* What the parts of the engine share. One thread runs all of it, but for what others call. */

#ifndef SAMEPORT_INTERNAL_H
#define SAMEPORT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine.h"

enum { CHUNK = 64 << 10, BUFFERED_RECORDS = 1024 };

static const int64_t SECOND_NS = 1000000000;
static const int64_t FLUSH_NS = 50000000;

/* The bytes of one connection, or of the datagrams between two addresses and ports. */
struct flow {
    struct link link;
    struct exchange *exchange; /* under way; NULL while the flow is idle */
    void *codec;               /* the codec's state */
    struct span out;           /* what is left to be sent */
    struct bytes began;        /* the first bytes of an answer that comes in pieces, as long as none was odd */
    uint64_t opened;           /* in which batch of events */
    uint32_t serial, left;     /* left: requests that the flow still takes; 0: no limit */
    uint16_t source;
    bool opening, polls_out, hung_up;
};

/* A request and its answer, one after the other: of a user of the closed loop, or of a place in the open one. */
struct exchange {
    struct exchange *older, *newer; /* among those under way, by their start */
    struct flow *flow;
    int64_t intended_ns, start_ns, connected_ns, first_byte_ns;
    uint64_t body_bytes;
    int64_t wakes_ns;  /* while paused */
    uint32_t failures; /* in a row */
    uint16_t status, protocol_status, stream;
    uint8_t route;
    bool reused, spoke;
};

struct identity {
    char *name;
    size_t length;
    uint64_t hash;
};

struct engine {
    struct profile profile;
    int records, epoll, wake, done;
    pthread_t thread;
    pthread_mutex_t joining;
    bool started;
    _Atomic bool joined;
    int64_t end_ns;
    _Atomic size_t users;
    _Atomic bool stopped;
    _Atomic int failure;
    struct counters counters;

    struct exchange **exchanges; /* all that were ever needed, each with its flow */
    size_t made, most, active;   /* active: are under way, or pause */
    struct exchange **idle;      /* stack */
    size_t idle_length;
    struct exchange *oldest, *newest;
    struct exchange **paused; /* binary heap, the first wakes first */
    size_t paused_length;
    int64_t unbegun;
    size_t turn;    /* whose route is the next request's */
    uint64_t batch; /* number of the events at hand */

    size_t stage;
    int64_t stage_start_ns, next_ns; /* the next arrival */
    int64_t seen_ns;                 /* up to when arrivals were looked for */
    uint64_t arrival;                /* its number in the stage */
    uint64_t random;
    bool arriving;

    struct record buffer[BUFFERED_RECORDS];
    size_t buffered;
    int64_t flushed_ns;
    char chunk[CHUNK];

    pthread_mutex_t lock; /* of what follows */
    struct identity *identities;
    size_t identities_length, identities_capacity;
    uint32_t *table; /* open addressing: index + 1 */
    size_t table_size;
    char odd_answer[ODD_BYTES];
    size_t odd_length;
};

static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static inline void add(_Atomic int64_t *counter, int64_t more) {
    /* One thread writes: no need to lock the bus. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static inline bool is_open(const struct engine *engine) {
    return engine->profile.stages_length > 0;
}

static inline bool may_begin(const struct engine *engine, int64_t now) {
    return now < engine->end_ns && engine->unbegun && !atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

/* After these there was no answer, the flow is gone, and the next attempt may fail as fast. */
static inline bool is_broken(enum error error) {
    return error != NONE && error != STATUS && error != UNIDENTIFIED;
}

/* ---- engine.c ---- */

/* Note what went wrong with the engine itself, and let nothing more begin. */
void fail(struct engine *engine, int error);

/* ---- identities.c ---- */

/* Keep the beginning of an answer, in case that it turns out to be odd; its next piece is `data`. */
void remember(struct engine *engine, struct flow *flow, struct span data);

/* Note the answer as the first odd one; its last piece is `data`. */
void note_odd(struct engine *engine, struct flow *flow, struct span data);

/* ---- records.c ---- */

void record(struct engine *engine, const struct exchange *exchange, int64_t ended_ns, uint32_t instance,
            enum error error);
void flush(struct engine *engine, int64_t now);

/* ---- waiting.c ---- */

/* Those under way, the oldest first: all have the same time-out. */
void begin_waiting(struct engine *engine, struct exchange *exchange);
void end_waiting(struct engine *engine, struct exchange *exchange);

/* Those that pause; `end_pause` gives the first that wakes. */
void pause_for(struct engine *engine, struct exchange *exchange, int64_t wakes_ns);
struct exchange *end_pause(struct engine *engine);

/* ---- flows.c ---- */

/* Make a flow; NULL: no memory. */
struct flow *flow_new(const struct profile *profile);
void flow_free(struct engine *engine, struct flow *flow);

/* Open the flow for its exchange, and send the request. */
void flow_open(struct engine *engine, struct flow *flow);
void flow_close(struct engine *engine, struct flow *flow);

/* Send the request of the exchange on a flow that is open. */
void flow_ask(struct engine *engine, struct flow *flow);

/* Take the events of a flow. */
void flow_ready(struct engine *engine, struct flow *flow, uint32_t events);

/* ---- exchanges.c ---- */

/* Give one that is idle; NULL if there can be no more. */
struct exchange *take_idle(struct engine *engine);

/* Begin a request; an intended start of 0 is now. */
void begin(struct engine *engine, struct exchange *exchange, int64_t intended_ns);

/* Write down how a request ended, and go on; `keep`: its flow can take another. */
void finish(struct engine *engine, struct exchange *exchange, int64_t ended_ns, uint32_t instance, enum error error,
            bool keep);
void finish_failed(struct engine *engine, struct exchange *exchange, enum error error);

/* Take the answer that is complete; its last piece is `data`. */
void complete(struct engine *engine, struct exchange *exchange, int64_t received_ns, const struct answer *answer,
              struct span data);

/* Go on after a request or a pause: with the next request, or not at all. */
void go_on(struct engine *engine, struct exchange *exchange, int64_t now);

/* ---- arrivals.c: the open loop ---- */

/* Find when the next arrival is due: never after the last stage. */
void schedule(struct engine *engine);

/* Whether the next arrival may still be sent. */
bool may_arrive(const struct engine *engine, int64_t now);

/* Send the arrivals that are due, as far as there are exchanges for them. */
void arrive(struct engine *engine, int64_t now);

/* Count the arrivals that were due and never found an exchange. */
void count_unsent(struct engine *engine, int64_t now);

#endif
