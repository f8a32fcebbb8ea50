#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <netinet/tcp.h>

enum {
    EVENTS = 256,
    CHUNK = 64 << 10,
    BUFFERED_RECORDS = 1024,
    SLICE = 1400,    /* a request that fits into one segment is never held back */
    MOST_CHUNKS = 64, /* of one answer, before others have their turn */
};

static const int64_t SECOND_NS = 1000000000;
static const int64_t FLUSH_NS = 50000000;
static const uint64_t SHORT_SLICE_NS = 100000; /* the shortest there is */
static const int64_t LEAST_PAUSE_NS = 1000000, MOST_PAUSE_NS = 100000000;

enum sending { SENT, BLOCKED, BROKEN };

enum phase { IDLE, CONNECTING, SENDING, WAITING, PAUSED };

/* A user of the closed loop, or a connection of the open one. */
struct connection {
    struct connection *older, *newer; /* among those with a request under way, by their start */
    int64_t intended_ns, start_ns, connected_ns, first_byte_ns;
    int64_t wakes_ns; /* while paused */
    size_t place;     /* in the heap of those that pause, or in the stack of the free */
    uint64_t opened;  /* in which batch of events */
    int fd;
    uint32_t serial, left; /* requests that the connection still takes; 0: no limit */
    uint32_t sent;
    uint32_t failures; /* in a row */
    uint16_t source;
    uint8_t phase, route;
    bool reused, spoke, polls_out, hung_up;
    struct parser parser;
    struct bytes began; /* the first bytes of an answer that comes in pieces, as long as none was odd */
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

    struct connection **connections; /* all that were ever needed */
    size_t made, most, active;       /* active: have a request under way, or pause */
    struct connection **idle;        /* stack */
    size_t idle_length;
    struct connection *oldest, *newest;
    struct connection **paused; /* binary heap, the first wakes first */
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

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void add(_Atomic int64_t *counter, int64_t more) {
    /* One thread writes: no need to lock the bus. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

static void fail(struct engine *engine, int error) {
    int none = 0;
    atomic_compare_exchange_strong(&engine->failure, &none, error ? error : EIO);
    atomic_store(&engine->stopped, true);
}

/* ---- identities ---- */

static uint64_t hash_of(const char *data, size_t length) {
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, 64 bit */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
    return hash;
}

static uint32_t *place_of(struct engine *engine, uint64_t hash, const char *name, size_t length) {
    for (size_t at = hash & (engine->table_size - 1);; at = (at + 1) & (engine->table_size - 1)) {
        uint32_t found = engine->table[at];
        if (!found)
            return &engine->table[at];
        struct identity *identity = &engine->identities[found - 1];
        if (identity->hash == hash && identity->length == length && !memcmp(identity->name, name, length))
            return &engine->table[at];
    }
}

static bool more_identities(struct engine *engine) {
    size_t capacity = engine->identities_capacity ? 2 * engine->identities_capacity : 64;
    uint32_t *table = calloc(4 * capacity, sizeof *table);
    struct identity *identities = realloc(engine->identities, capacity * sizeof *identities);
    if (identities)
        engine->identities = identities;
    if (!table || !identities) {
        free(table);
        return false;
    }
    free(engine->table);
    engine->table = table;
    engine->table_size = 4 * capacity;
    engine->identities_capacity = capacity;
    for (size_t i = 0; i < engine->identities_length; i++) {
        struct identity *known = &identities[i];
        *place_of(engine, known->hash, known->name, known->length) = (uint32_t)i + 1;
    }
    return true;
}

uint32_t engine_identity(struct engine *engine, const char *name, size_t length) {
    uint64_t hash = hash_of(name, length);
    if (engine->table) {
        uint32_t known = *place_of(engine, hash, name, length);
        if (known)
            return known - 1;
    }
    if (engine->identities_length >= MOST_IDENTITIES)
        return NO_INSTANCE;
    char *copy = malloc(length ? length : 1);
    if (!copy) {
        fail(engine, ENOMEM);
        return NO_INSTANCE;
    }
    memcpy(copy, name, length);
    uint32_t index = NO_INSTANCE;
    pthread_mutex_lock(&engine->lock);
    if (engine->identities_length < engine->identities_capacity || more_identities(engine)) {
        index = (uint32_t)engine->identities_length++;
        engine->identities[index] = (struct identity){copy, length, hash};
        *place_of(engine, hash, name, length) = index + 1;
    } else {
        free(copy);
        fail(engine, ENOMEM);
    }
    pthread_mutex_unlock(&engine->lock);
    return index;
}

void engine_identities(struct engine *engine, size_t from, void (*take)(void *, const char *, size_t), void *to) {
    pthread_mutex_lock(&engine->lock);
    for (size_t i = from; i < engine->identities_length; i++)
        take(to, engine->identities[i].name, engine->identities[i].length);
    pthread_mutex_unlock(&engine->lock);
}

/* Keep the beginning of an answer, in case that it turns out to be odd; its next piece is `data`. */
static void remember(struct engine *engine, struct connection *connection, const char *data, size_t length) {
    size_t missing = ODD_BYTES - connection->began.length;
    if (!engine->odd_length && !bytes_append(&connection->began, data, length < missing ? length : missing))
        fail(engine, ENOMEM);
}

/* Note the answer as the first odd one; its last piece is `data`. */
static void note_odd(struct engine *engine, struct connection *connection, const char *data, size_t length) {
    if (engine->odd_length)
        return;
    remember(engine, connection, data, length);
    pthread_mutex_lock(&engine->lock);
    engine->odd_length = connection->began.length;
    memcpy(engine->odd_answer, connection->began.data, engine->odd_length);
    pthread_mutex_unlock(&engine->lock);
}

size_t engine_odd_answer(struct engine *engine, char *to, size_t most) {
    pthread_mutex_lock(&engine->lock);
    size_t length = engine->odd_length < most ? engine->odd_length : most;
    memcpy(to, engine->odd_answer, length);
    pthread_mutex_unlock(&engine->lock);
    return length;
}

/* ---- records ---- */

/* After these there was no answer, the connection is gone, and the next attempt may fail as fast. */
static bool is_broken(enum error error) {
    return error != NONE && error != STATUS && error != UNIDENTIFIED;
}

static void flush(struct engine *engine, int64_t now) {
    const char *data = (const char *)engine->buffer;
    size_t left = engine->buffered * sizeof *engine->buffer;
    /* Behind a record that is missing or cut off, nothing could be told from anything. */
    bool lossy = atomic_load_explicit(&engine->counters.lost_records, memory_order_relaxed);
    while (left && !lossy) {
        ssize_t written = write(engine->records, data, left);
        if (written > 0) {
            data += written;
            left -= (size_t)written;
        } else if (written == 0 || errno != EINTR) {
            fail(engine, written ? errno : EIO);
            lossy = true;
        }
    }
    add(&engine->counters.lost_records, (int64_t)((left + sizeof *engine->buffer - 1) / sizeof *engine->buffer));
    engine->buffered = 0;
    engine->flushed_ns = now;
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    atomic_store_explicit(&engine->counters.cpu_ns, used.tv_sec * SECOND_NS + used.tv_nsec, memory_order_relaxed);
}

static void record(struct engine *engine, struct connection *connection, int64_t ended_ns, uint32_t instance,
                   enum error error) {
    if (engine->buffered == BUFFERED_RECORDS)
        flush(engine, ended_ns);
    int64_t start_ns = connection->start_ns;
    engine->buffer[engine->buffered++] = (struct record){
        .intended_start_ns = connection->intended_ns,
        .start_ns = start_ns,
        .latency_ns = ended_ns - start_ns,
        .connect_ns = connection->connected_ns ? connection->connected_ns - start_ns : -1,
        .first_byte_ns = connection->first_byte_ns ? connection->first_byte_ns - start_ns : -1,
        .connection = connection->serial,
        .instance = instance,
        .status = connection->parser.status,
        .source = connection->source,
        .error = (uint8_t)error,
        .route = connection->route,
    };
    add(&engine->counters.requests, 1);
    add(&engine->counters.by_error[error], 1);
    if (!is_broken(error))
        add(&engine->counters.body_bytes, (int64_t)connection->parser.body_bytes);
}

/* ---- those with a request under way, the oldest first: all have the same time-out ---- */

static void begin_waiting(struct engine *engine, struct connection *connection) {
    connection->newer = NULL;
    connection->older = engine->newest;
    *(engine->newest ? &engine->newest->newer : &engine->oldest) = connection;
    engine->newest = connection;
}

static void end_waiting(struct engine *engine, struct connection *connection) {
    *(connection->older ? &connection->older->newer : &engine->oldest) = connection->newer;
    *(connection->newer ? &connection->newer->older : &engine->newest) = connection->older;
}

/* ---- those that pause ---- */

static void place(struct engine *engine, size_t at, struct connection *connection) {
    engine->paused[at] = connection;
    connection->place = at;
}

static void pause_for(struct engine *engine, struct connection *connection, int64_t wakes_ns) {
    size_t at = engine->paused_length++;
    connection->wakes_ns = wakes_ns;
    connection->phase = PAUSED;
    while (at) {
        size_t parent = (at - 1) / 2;
        if (engine->paused[parent]->wakes_ns <= wakes_ns)
            break;
        place(engine, at, engine->paused[parent]);
        at = parent;
    }
    place(engine, at, connection);
}

static struct connection *end_pause(struct engine *engine) {
    struct connection *first = engine->paused[0], *last = engine->paused[--engine->paused_length];
    size_t at = 0, length = engine->paused_length;
    if (length) {
        for (size_t child; (child = 2 * at + 1) < length; at = child) {
            if (child + 1 < length && engine->paused[child + 1]->wakes_ns < engine->paused[child]->wakes_ns)
                child++;
            if (engine->paused[child]->wakes_ns >= last->wakes_ns)
                break;
            place(engine, at, engine->paused[child]);
        }
        place(engine, at, last);
    }
    return first;
}

/* ---- connections ---- */

static void disconnect(struct engine *engine, struct connection *connection) {
    if (connection->fd < 0)
        return;
    if (engine->profile.close_by_reset) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close(connection->fd);
    connection->fd = -1;
}

static enum error error_of(int number) {
    switch (number) {
    case ECONNREFUSED:
        return REFUSED;
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
        return RESET;
    case ETIMEDOUT:
        return TIMED_OUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
        return UNREACHABLE;
    default:
        return OTHER;
    }
}

static void begin(struct engine *engine, struct connection *connection, int64_t intended_ns);
static void arrive(struct engine *engine, int64_t now);

static bool may_begin(const struct engine *engine, int64_t now) {
    return now < engine->end_ns && engine->unbegun && !atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

static bool is_open(const struct engine *engine) {
    return engine->profile.stages_length > 0;
}

static void rest(struct engine *engine, struct connection *connection) {
    connection->phase = IDLE;
    engine->active--;
    engine->idle[engine->idle_length++] = connection;
}

/* Go on after a request: with the next one, with a pause, or not at all. */
static void go_on(struct engine *engine, struct connection *connection, int64_t now) {
    if (is_open(engine)) {
        rest(engine, connection);
        arrive(engine, now);
        return;
    }
    size_t users = atomic_load_explicit(&engine->users, memory_order_relaxed);
    if (may_begin(engine, now) && engine->active <= users) {
        begin(engine, connection, 0);
    } else {
        disconnect(engine, connection);
        rest(engine, connection);
    }
}

/* Write down how a request ended, and go on. */
static void finish(struct engine *engine, struct connection *connection, int64_t ended_ns, uint32_t instance,
                   enum error error, bool keep) {
    end_waiting(engine, connection);
    record(engine, connection, ended_ns, instance, error);
    parser_reset(&connection->parser);
    connection->began.length = 0;
    if (connection->left && !--connection->left)
        keep = false;
    if (!keep)
        disconnect(engine, connection);
    if (!is_broken(error)) {
        connection->failures = 0;
        go_on(engine, connection, ended_ns);
        return;
    }
    /* A refused connection fails in microseconds: without a pause, users whose instance is gone would spin,
       take the processor from the others, and fill the recording with one event, a million times. */
    int64_t pause = LEAST_PAUSE_NS << (connection->failures < 7 ? connection->failures : 7);
    connection->failures++;
    if (is_open(engine))
        go_on(engine, connection, ended_ns); /* arrivals come when they come */
    else
        pause_for(engine, connection, ended_ns + (pause < MOST_PAUSE_NS ? pause : MOST_PAUSE_NS));
}

static void finish_failed(struct engine *engine, struct connection *connection, enum error error) {
    finish(engine, connection, now_ns(), NO_INSTANCE, error, false);
}

static void open_connection(struct engine *engine, struct connection *connection);

/* A kept connection that the server has closed in between was no answer: ask again, once (RFC 9112, 9.3.1). */
static void gone(struct engine *engine, struct connection *connection, enum error error) {
    if (connection->reused && !connection->spoke) {
        disconnect(engine, connection);
        connection->reused = false;
        add(&engine->counters.resent, 1);
        open_connection(engine, connection);
    } else {
        finish_failed(engine, connection, error);
    }
}

static bool poll_for(struct engine *engine, struct connection *connection, bool out, int how) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET | (out ? EPOLLOUT : 0U),
                                .data.ptr = connection};
    if (epoll_ctl(engine->epoll, how, connection->fd, &event)) {
        finish_failed(engine, connection, OTHER);
        return false;
    }
    connection->polls_out = out;
    return true;
}

/* Send what is left of the request. BLOCKED: there is no room, or no connection yet. */
static enum sending send_rest(struct engine *engine, struct connection *connection) {
    const struct text *text = &engine->profile.texts[connection->route];
    while (connection->sent < text->length) {
        ssize_t sent =
            send(connection->fd, text->data + connection->sent, text->length - connection->sent, MSG_NOSIGNAL);
        if (sent >= 0) {
            connection->sent += (uint32_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return BLOCKED;
        } else if (errno != EINTR) {
            return BROKEN;
        }
    }
    return SENT;
}

static void open_connection(struct engine *engine, struct connection *connection) {
    const struct profile *profile = &engine->profile;
    int64_t attempts = atomic_load_explicit(&engine->counters.attempts, memory_order_relaxed);
    connection->serial = (uint32_t)attempts;
    connection->left = profile->requests_per_connection;
    connection->sent = 0;
    connection->phase = CONNECTING;
    connection->hung_up = false;
    add(&engine->counters.attempts, 1);
    int fd = socket(profile->endpoint.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        finish_failed(engine, connection, OTHER);
        return;
    }
    connection->fd = fd;
    connection->opened = engine->batch;
    int yes = 1;
    if (profile->texts[connection->route].length > SLICE)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (profile->sources_length) {
        /* ip(7): bind() reserves no port, connect() chooses one that is free for this destination. */
        /* Routes take turns, too: each lap begins one later, so that none is asked for from a few sources alone. */
        size_t lap = profile->texts_length > 1 ? (size_t)attempts / profile->sources_length : 0;
        connection->source = (uint16_t)(((size_t)attempts + lap) % profile->sources_length);
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(fd, (const struct sockaddr *)&profile->sources[connection->source], profile->endpoint_length)) {
            finish_failed(engine, connection, error_of(errno));
            return;
        }
    }
    if (connect(fd, (const struct sockaddr *)&profile->endpoint, profile->endpoint_length) && errno != EINPROGRESS) {
        /* Only connect() runs out of ports; bind() says the same of an address that isn't here. */
        finish_failed(engine, connection, errno == EADDRNOTAVAIL ? NO_PORT : error_of(errno));
        return;
    }
    /* On a short path the handshake is over when connect() returns: no need to wait first. */
    int64_t connected_ns = now_ns();
    enum sending sending = send_rest(engine, connection);
    int error = sending == BROKEN ? errno : 0;
    /* Only what was there can be reset: before, it is refused, or not reached. */
    if (sending == SENT || connection->sent || error == ECONNRESET || error == EPIPE) {
        connection->connected_ns = connected_ns;
        add(&engine->counters.established, 1);
    }
    if (error) {
        finish_failed(engine, connection, error_of(error));
        return;
    }
    connection->phase = sending == SENT ? WAITING : connection->sent ? SENDING : CONNECTING;
    poll_for(engine, connection, sending != SENT, EPOLL_CTL_ADD);
}

/* Begin a request; an intended start of 0 is now. */
static void begin(struct engine *engine, struct connection *connection, int64_t intended_ns) {
    engine->unbegun--;
    connection->route = engine->profile.turns[engine->turn];
    engine->turn = (engine->turn + 1) % engine->profile.turns_length;
    connection->start_ns = now_ns();
    connection->intended_ns = intended_ns ? intended_ns : connection->start_ns;
    connection->connected_ns = connection->first_byte_ns = 0;
    connection->spoke = false;
    connection->reused = connection->fd >= 0;
    begin_waiting(engine, connection);
    if (!connection->reused) {
        open_connection(engine, connection);
        return;
    }
    connection->sent = 0;
    connection->phase = WAITING;
    switch (send_rest(engine, connection)) {
    case SENT:
        return;
    case BLOCKED:
        connection->phase = SENDING;
        if (!connection->polls_out)
            poll_for(engine, connection, true, EPOLL_CTL_MOD);
        return;
    case BROKEN:
        gone(engine, connection, error_of(errno));
    }
}

/* ---- answers ---- */

static void complete(struct engine *engine, struct connection *connection, int64_t received_ns, const char *data,
                     size_t length) {
    struct parser *parser = &connection->parser;
    uint32_t instance = NO_INSTANCE;
    if (parser->name.length)
        instance = engine_identity(engine, parser->name.data, parser->name.length);
    else if (engine->profile.wanted.body)
        instance = engine->profile.name_body(engine->profile.context, parser->body.data, parser->body.length);
    enum error error = NONE;
    if (parser->status >= 400) {
        error = STATUS;
    } else if (instance == NO_INSTANCE && engine->profile.named) {
        error = UNIDENTIFIED;
        note_odd(engine, connection, data, length);
    }
    finish(engine, connection, received_ns, instance, error, parser_keeps(parser) && !connection->hung_up);
}

/* Say why nothing more comes: `error` is of a request that could not be sent to its end, 0 for none. */
static void end_of_stream(struct engine *engine, struct connection *connection, int64_t now, int error) {
    if (error) /* the reset was told already, and once is all it is told */
        gone(engine, connection, error_of(error));
    else if (connection->reused && !connection->spoke)
        gone(engine, connection, TRUNCATED_ANSWER);
    else if (parser_feed(&connection->parser, &engine->profile.wanted, NULL, 0) == COMPLETE)
        complete(engine, connection, now, NULL, 0);
    else
        finish(engine, connection, now, NO_INSTANCE, TRUNCATED_ANSWER, false);
}

/* Take the next bytes of an answer; false when it has ended. */
static bool take_bytes(struct engine *engine, struct connection *connection, size_t length, int64_t received_ns) {
    const char *data = engine->chunk;
    if (!connection->spoke) {
        connection->spoke = true;
        connection->first_byte_ns = received_ns;
    }
    switch (parser_feed(&connection->parser, &engine->profile.wanted, data, length)) {
    case NEED_MORE:
        remember(engine, connection, data, length);
        return true;
    case COMPLETE:
        if (connection->phase != WAITING)
            /* Answered before it was asked to the end: nothing can follow on this connection. */
            connection->parser.closes = true;
        complete(engine, connection, received_ns, data, length);
        return false;
    case NO_MEMORY:
        fail(engine, ENOMEM);
        finish(engine, connection, received_ns, NO_INSTANCE, OTHER, false);
        return false;
    default:
        note_odd(engine, connection, data, length);
        finish(engine, connection, received_ns, NO_INSTANCE, MALFORMED_ANSWER, false);
        return false;
    }
}

/* Read what came. `error` is why the request could not be sent to its end, 0 if it could. */
static void receive(struct engine *engine, struct connection *connection, int error) {
    for (int chunks = 0; chunks < MOST_CHUNKS;) {
        ssize_t length = recv(connection->fd, engine->chunk, CHUNK, 0);
        if (length < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EPIPE) /* reset after the server had closed: the request met nobody */
                gone(engine, connection, RESET);
            else if (errno != EAGAIN && errno != EWOULDBLOCK)
                finish_failed(engine, connection, error_of(errno));
            return;
        }
        int64_t received_ns = now_ns();
        if (!length) {
            end_of_stream(engine, connection, received_ns, error);
            return;
        }
        if (!take_bytes(engine, connection, (size_t)length, received_ns))
            return;
        if (length == CHUNK)
            chunks++;
        else if (!connection->hung_up)
            return; /* the socket is empty: the next bytes make an event of their own */
    }
    /* An answer without an end must not keep the others, their time-outs, and the end of all from coming.
       What is left makes an event again. */
    poll_for(engine, connection, connection->polls_out, EPOLL_CTL_MOD);
}

static void ready(struct engine *engine, struct connection *connection, uint32_t events) {
    /* An event of this batch can't be one of a socket that was opened since: it was its predecessor's. */
    if (connection->fd < 0 || connection->opened == engine->batch)
        return;
    if (connection->phase == IDLE) {
        /* Nobody asked: the server has closed a kept connection, has reset it, or speaks out of turn. */
        if (events & ~(uint32_t)EPOLLOUT)
            disconnect(engine, connection);
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP))
        connection->hung_up = true;
    int error = 0;
    if (connection->phase == CONNECTING) {
        socklen_t size = sizeof error;
        if (events & (EPOLLERR | EPOLLHUP))
            getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            finish_failed(engine, connection, error_of(error));
            return;
        }
        connection->connected_ns = now_ns();
        add(&engine->counters.established, 1);
        connection->phase = SENDING;
    }
    if (connection->phase == SENDING) {
        switch (send_rest(engine, connection)) {
        case SENT:
            connection->phase = WAITING;
            break;
        case BLOCKED:
            break;
        case BROKEN:
            error = errno;
            events |= EPOLLIN; /* the server may have answered before it closed */
        }
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        receive(engine, connection, error);
}

/* ---- arrivals of the open loop ---- */

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15; /* SplitMix64: Steele, Lea, Flood (OOPSLA 2014) */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Find when the next arrival is due: never after the last stage. */
static void schedule(struct engine *engine) {
    const struct profile *profile = &engine->profile;
    while (engine->stage < profile->stages_length) {
        const struct stage *stage = &profile->stages[engine->stage];
        int64_t ends_ns = engine->stage_start_ns + stage->lasts_ns;
        if (stage->rate_per_s > 0) {
            double gap_ns = (double)SECOND_NS / stage->rate_per_s;
            double next_ns;
            if (profile->poisson) {
                double uniform = (double)((next_random(&engine->random) >> 11) + 1) * 0x1p-53;
                next_ns = (double)(engine->next_ns - engine->stage_start_ns) - log(uniform) * gap_ns;
            } else {
                next_ns = (double)engine->arrival++ * gap_ns;
            }
            if (next_ns < (double)stage->lasts_ns) {
                engine->next_ns = engine->stage_start_ns + (int64_t)next_ns;
                return;
            }
        }
        engine->stage++;
        engine->stage_start_ns = engine->next_ns = ends_ns;
        engine->arrival = 0;
    }
    engine->next_ns = INT64_MAX;
}

static struct connection *take_idle(struct engine *engine) {
    if (engine->idle_length)
        return engine->idle[--engine->idle_length];
    if (engine->made == engine->most)
        return NULL;
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) {
        fail(engine, ENOMEM);
        return NULL;
    }
    connection->fd = -1;
    engine->connections[engine->made++] = connection;
    return connection;
}

/* Whether the next arrival may still be sent: before the end, or if it came so shortly before that nobody
   has looked since. */
static bool may_arrive(const struct engine *engine, int64_t now) {
    return engine->next_ns < engine->end_ns && engine->unbegun &&
           (now < engine->end_ns || engine->next_ns > engine->seen_ns) &&
           !atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

/* Send the arrivals that are due, as far as there are connections for them. */
static void arrive(struct engine *engine, int64_t now) {
    if (engine->arriving)
        return; /* a request that failed at once ends in here again */
    engine->arriving = true;
    while (engine->next_ns <= now && may_arrive(engine, now)) {
        struct connection *connection = take_idle(engine);
        if (!connection)
            break;
        int64_t intended_ns = engine->next_ns;
        schedule(engine);
        engine->active++;
        begin(engine, connection, intended_ns);
        if (connection->start_ns - now > FLUSH_NS)
            break; /* they come faster than they can be sent: answers and time-outs must not wait for the last */
    }
    engine->seen_ns = now;
    engine->arriving = false;
}

/* ---- the loop ---- */

/* Begin with users that have come, and wake those whose pause is over. */
static void welcome(struct engine *engine, int64_t now) {
    size_t users = atomic_load_explicit(&engine->users, memory_order_relaxed);
    while (engine->active < users && may_begin(engine, now)) {
        struct connection *connection = take_idle(engine);
        if (!connection)
            break;
        engine->active++;
        begin(engine, connection, 0);
    }
}

static void time_out(struct engine *engine, int64_t now) {
    while (engine->oldest && engine->oldest->start_ns + engine->profile.timeout_ns <= now)
        finish(engine, engine->oldest, now, NO_INSTANCE, TIMED_OUT, false);
    while (engine->paused_length && engine->paused[0]->wakes_ns <= now)
        go_on(engine, end_pause(engine), now);
}

/* How long nothing has to be done, unless a socket gets ready. */
static int64_t patience_ns(const struct engine *engine, int64_t now) {
    int64_t until_ns = now + FLUSH_NS;
    if (engine->oldest && engine->oldest->start_ns + engine->profile.timeout_ns < until_ns)
        until_ns = engine->oldest->start_ns + engine->profile.timeout_ns;
    if (engine->paused_length && engine->paused[0]->wakes_ns < until_ns)
        until_ns = engine->paused[0]->wakes_ns;
    if (engine->end_ns > now && engine->end_ns < until_ns)
        until_ns = engine->end_ns;
    bool room = engine->idle_length || engine->made < engine->most;
    if (is_open(engine) && room && engine->next_ns < until_ns && may_arrive(engine, now))
        until_ns = engine->next_ns;
    /* Sending took its time, by which the next arrival must not be late. */
    int64_t since = is_open(engine) ? now_ns() : now;
    return until_ns > since ? until_ns - since : 0;
}

static int wait_for_events(struct engine *engine, struct epoll_event *events, int64_t patience) {
    struct timespec most = {patience / SECOND_NS, patience % SECOND_NS};
    int count = epoll_pwait2(engine->epoll, events, EVENTS, &most, NULL);
    if (count < 0 && errno != EINTR) /* before Linux 5.11, or not let through: to the millisecond, rather too early */
        count = epoll_wait(engine->epoll, events, EVENTS, (int)(patience / 1000000));
    return count;
}

static void drain(int fd) {
    uint64_t ignored;
    while (read(fd, &ignored, sizeof ignored) > 0)
        ;
}

static bool is_over(const struct engine *engine, int64_t now) {
    if (engine->active > engine->paused_length)
        return false;
    return is_open(engine) ? !may_arrive(engine, now) && !may_begin(engine, now) : !may_begin(engine, now);
}

/* Count the arrivals that were due, and never found a connection. */
static void count_unsent(struct engine *engine, int64_t now) {
    int64_t until_ns = now < engine->end_ns ? now : engine->end_ns;
    while (is_open(engine) && engine->unbegun && engine->next_ns < until_ns) {
        add(&engine->counters.unsent, 1);
        engine->unbegun--;
        schedule(engine);
    }
}

/* What sched_setattr(2) takes; glibc has it since 2.41 only. */
struct sched_attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Ask to be woken at once, for short slices: since Linux 6.12 a thread that is woken takes the core from one
   with longer slices, else it may wait for up to 3 ms, and answers look as late. No larger share of the core
   comes with it. Older kernels pay no heed. */
static void run_promptly(void) {
    struct sched_attributes own = {.size = sizeof own};
    if (syscall(SYS_sched_getattr, 0, &own, sizeof own, 0))
        return; /* not let through: as on an older kernel */
    own.runtime_ns = SHORT_SLICE_NS;
    syscall(SYS_sched_setattr, 0, &own, 0);
}

static void *run(void *argument) {
    struct engine *engine = argument;
    struct epoll_event events[EVENTS];
    prctl(PR_SET_TIMERSLACK, 1UL); /* else arrivals come up to 50 us late */
    prctl(PR_SET_NAME, "wire");
    run_promptly();
    if (is_open(engine))
        schedule(engine);
    int64_t now = now_ns();
    while (!is_over(engine, now)) {
        if (is_open(engine))
            arrive(engine, now);
        else
            welcome(engine, now);
        time_out(engine, now);
        if (now - engine->flushed_ns >= FLUSH_NS)
            flush(engine, now);
        int count = wait_for_events(engine, events, patience_ns(engine, now));
        if (count < 0 && errno != EINTR) {
            fail(engine, errno);
            break;
        }
        engine->batch++;
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                ready(engine, events[i].data.ptr, events[i].events);
            else
                drain(engine->wake);
        }
        now = now_ns();
    }
    count_unsent(engine, now);
    flush(engine, now);
    for (size_t i = 0; i < engine->made; i++)
        disconnect(engine, engine->connections[i]);
    uint64_t one = 1;
    while (write(engine->done, &one, sizeof one) < 0 && errno == EINTR)
        ;
    return NULL;
}

/* ---- what others call ---- */

struct engine *engine_new(const struct profile *profile, int records, size_t most_connections) {
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    engine->profile = *profile;
    engine->records = records;
    engine->most = most_connections;
    engine->unbegun = profile->most_requests;
    engine->random = profile->seed;
    engine->epoll = engine->wake = engine->done = -1;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->joining, NULL);
    engine->connections = calloc(most_connections, sizeof *engine->connections);
    engine->idle = calloc(most_connections, sizeof *engine->idle);
    engine->paused = calloc(most_connections, sizeof *engine->paused);
    if (engine->connections && engine->idle && engine->paused) {
        engine->epoll = epoll_create1(EPOLL_CLOEXEC);
        engine->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        engine->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
        if (engine->epoll >= 0 && engine->wake >= 0 && engine->done >= 0 &&
            !epoll_ctl(engine->epoll, EPOLL_CTL_ADD, engine->wake, &event))
            return engine;
    }
    int error = errno;
    engine->profile = (struct profile){0}; /* the caller keeps what it points to */
    engine_free(engine);
    errno = error;
    return NULL;
}

int engine_start(struct engine *engine, int64_t start_ns, int64_t end_ns) {
    if (engine->started)
        return EALREADY;
    engine->end_ns = end_ns;
    engine->flushed_ns = engine->stage_start_ns = engine->next_ns = start_ns;
    engine->seen_ns = start_ns - 1;
    int error = pthread_create(&engine->thread, NULL, run, engine);
    engine->started = !error;
    return error;
}

static void wake(struct engine *engine) {
    uint64_t one = 1;
    ssize_t written = write(engine->wake, &one, sizeof one);
    (void)written; /* full: then it is awake */
}

void engine_set_users(struct engine *engine, size_t users) {
    atomic_store(&engine->users, users < engine->most ? users : engine->most);
    wake(engine);
}

void engine_stop(struct engine *engine) {
    atomic_store(&engine->stopped, true);
    wake(engine);
}

bool engine_is_caller(const struct engine *engine) {
    return engine->started && !atomic_load(&engine->joined) && pthread_equal(pthread_self(), engine->thread);
}

void engine_join(struct engine *engine) {
    pthread_mutex_lock(&engine->joining);
    if (engine->started && !atomic_load(&engine->joined)) {
        pthread_join(engine->thread, NULL);
        atomic_store(&engine->joined, true);
    }
    pthread_mutex_unlock(&engine->joining);
}

int engine_done_fd(const struct engine *engine) {
    return engine->done;
}

int engine_failure(const struct engine *engine) {
    return atomic_load(&engine->failure);
}

const struct counters *engine_counters(const struct engine *engine) {
    return &engine->counters;
}

void engine_free(struct engine *engine) {
    for (size_t i = 0; i < engine->made; i++) {
        disconnect(engine, engine->connections[i]);
        parser_free(&engine->connections[i]->parser);
        free(engine->connections[i]->began.data);
        free(engine->connections[i]);
    }
    free(engine->connections);
    free(engine->idle);
    free(engine->paused);
    for (size_t i = 0; i < engine->identities_length; i++)
        free(engine->identities[i].name);
    free(engine->identities);
    free(engine->table);
    int fds[] = {engine->epoll, engine->wake, engine->done};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(engine->profile.sources);
    for (size_t i = 0; i < engine->profile.texts_length; i++)
        free(engine->profile.texts[i].data);
    free(engine->profile.texts);
    free(engine->profile.turns);
    free((char *)engine->profile.wanted.header);
    free(engine->profile.stages);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->joining);
    free(engine);
}
