/* Flows: the transport's bytes in and out, and the codec's exchanges in them. */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "internal.h"

enum { MOST_CHUNKS = 64 }; /* of one answer, before others have their turn */

enum sending { SENT, BLOCKED, BROKEN };

/* A flow, with room behind it for what codec and transport keep in it. */
struct made {
    struct flow flow;
    _Alignas(max_align_t) char states[];
};

static size_t aligned(size_t bytes) {
    size_t unit = _Alignof(max_align_t);
    return (bytes + unit - 1) / unit * unit;
}

struct flow *flow_new(const struct profile *profile) {
    size_t codec_bytes = aligned(profile->codec->state_bytes);
    struct made *made = calloc(1, sizeof *made + codec_bytes + profile->transport->state_bytes);
    if (!made)
        return NULL;
    made->flow.codec = made->states;
    made->flow.link = (struct link){.fd = -1, .state = made->states + codec_bytes};
    return &made->flow;
}

void flow_close(struct engine *engine, struct flow *flow) {
    if (flow->link.fd < 0)
        return;
    engine->profile.transport->close(&flow->link, engine->profile.close_by_reset);
    flow->link.fd = -1;
    flow->out.length = 0;
}

void flow_free(struct engine *engine, struct flow *flow) {
    flow_close(engine, flow);
    engine->profile.codec->end(flow->codec);
    bytes_free(&flow->began);
    free(flow);
}

/* The exchange got no answer. A kept flow that the server has closed in between is none: ask again, once (RFC 9112,
   9.3.1). */
static void gone(struct engine *engine, struct flow *flow, enum error error) {
    struct exchange *exchange = flow->exchange;
    if (exchange->reused && !exchange->spoke && !engine->profile.once) {
        flow_close(engine, flow);
        exchange->reused = false;
        add(&engine->counters.resent, 1);
        flow_open(engine, flow);
    } else {
        finish_failed(engine, exchange, error);
    }
}

static bool poll_for(struct engine *engine, struct flow *flow, bool out, int how) {
    struct epoll_event event = {.events = engine->profile.transport->wants(&flow->link, out) | EPOLLET,
                                .data.ptr = flow};
    flow->polls_out = out;
    return !epoll_ctl(engine->epoll, how, flow->link.fd, &event);
}

static void poll_or_fail(struct engine *engine, struct flow *flow, bool out, int how) {
    if (!poll_for(engine, flow, out, how))
        finish_failed(engine, flow->exchange, OTHER);
}

/* Send what is left. BLOCKED: there is no room, or no connection yet. */
static enum sending send_rest(struct engine *engine, struct flow *flow) {
    const struct transport_ops *transport = engine->profile.transport;
    while (flow->out.length) {
        ssize_t sent = transport->send(&flow->link, flow->out.data, flow->out.length);
        if (sent >= 0) {
            flow->out.data += sent;
            flow->out.length -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return BLOCKED;
        } else if (errno != EINTR) {
            return BROKEN;
        }
    }
    return SENT;
}

/* Put the request of the flow's exchange into its output. */
static bool encode(struct engine *engine, struct flow *flow) {
    const struct text *text = &engine->profile.texts[flow->exchange->route];
    if (engine->profile.codec->encode(flow->codec, (struct span){text->data, text->length}, &flow->out))
        return true;
    fail(engine, ENOMEM);
    finish_failed(engine, flow->exchange, OTHER);
    return false;
}

/* Begin to open the link, from the next of the sources. */
static enum error open_link(struct engine *engine, struct flow *flow, int64_t attempt) {
    const struct profile *profile = &engine->profile;
    struct way way = {.to = (const struct sockaddr *)&profile->endpoint,
                      .length = profile->endpoint_length,
                      .request_bytes = flow->out.length};
    if (profile->sources_length) {
        /* Routes take turns, too: each lap begins one later, so that none is asked for from a few sources alone. */
        size_t lap = profile->texts_length > 1 ? (size_t)attempt / profile->sources_length : 0;
        flow->source = (uint16_t)(((size_t)attempt + lap) % profile->sources_length);
        way.from = (const struct sockaddr *)&profile->sources[flow->source];
    }
    return profile->transport->open(&flow->link, &way);
}

void flow_open(struct engine *engine, struct flow *flow) {
    const struct codec_ops *codec = engine->profile.codec;
    struct exchange *exchange = flow->exchange;
    int64_t attempts = atomic_load_explicit(&engine->counters.attempts, memory_order_relaxed);
    flow->serial = (uint32_t)attempts;
    flow->left = engine->profile.requests_per_connection;
    flow->hung_up = false;
    flow->out.length = 0;
    flow->opened = engine->batch;
    add(&engine->counters.attempts, 1);
    if (!codec->begin(flow->codec, &flow->out)) {
        fail(engine, ENOMEM);
        finish_failed(engine, exchange, OTHER);
        return;
    }
    if (!encode(engine, flow))
        return;
    size_t whole = flow->out.length;
    enum error failed = open_link(engine, flow, attempts);
    if (failed) {
        finish_failed(engine, exchange, failed);
        return;
    }
    /* On a short path the handshake is over when connect() returns: no need to wait first. */
    int64_t connected_ns = now_ns();
    enum sending sending = send_rest(engine, flow);
    int error = sending == BROKEN ? errno : 0;
    bool sent = flow->out.length < whole;
    /* Only what was there can be reset: before, it is refused, or not reached. */
    if (sent || error == ECONNRESET || error == EPIPE) {
        exchange->connected_ns = connected_ns;
        add(&engine->counters.established, 1);
    }
    if (error) {
        finish_failed(engine, exchange, error_of(error));
        return;
    }
    flow->opening = !sent;
    poll_or_fail(engine, flow, sending != SENT, EPOLL_CTL_ADD);
}

void flow_ask(struct engine *engine, struct flow *flow) {
    if (!encode(engine, flow))
        return;
    switch (send_rest(engine, flow)) {
    case SENT:
        return;
    case BLOCKED:
        if (!flow->polls_out)
            poll_or_fail(engine, flow, true, EPOLL_CTL_MOD);
        return;
    case BROKEN:
        gone(engine, flow, error_of(errno));
    }
}

/* Feed the codec, and send its own reply if it has one: what keeps that from going out is met at the next read. */
static enum verdict feed(struct engine *engine, struct flow *flow, struct span data, struct answer *answer) {
    const struct profile *profile = &engine->profile;
    size_t unsent = flow->out.length;
    enum verdict verdict = profile->codec->feed(flow->codec, &profile->wanted, data, answer, &flow->out);
    struct exchange *exchange = flow->exchange;
    exchange->status = answer->status;
    exchange->protocol_status = answer->protocol_status;
    exchange->stream = answer->stream;
    exchange->body_bytes = answer->body_bytes;
    if (flow->out.length > unsent && send_rest(engine, flow) == BLOCKED && !flow->polls_out)
        poll_for(engine, flow, true, EPOLL_CTL_MOD);
    return verdict;
}

/* Say why nothing more comes: `error` is of a request that could not be sent to its end, 0 for none. */
static void end_of_stream(struct engine *engine, struct flow *flow, int64_t now, int error) {
    struct exchange *exchange = flow->exchange;
    if (error) { /* the reset was told already, and once is all it is told */
        gone(engine, flow, error_of(error));
        return;
    }
    if (exchange->reused && !exchange->spoke) { /* asked again, unless that must not be */
        gone(engine, flow, TRUNCATED_ANSWER);
        return;
    }
    struct answer answer;
    if (feed(engine, flow, (struct span){0}, &answer) == COMPLETE)
        complete(engine, exchange, now, &answer, (struct span){0});
    else
        finish(engine, exchange, now, NO_INSTANCE, TRUNCATED_ANSWER, false);
}

/* Take the next bytes of an answer; false when it has ended. */
static bool take_bytes(struct engine *engine, struct flow *flow, struct span data, int64_t received_ns) {
    struct exchange *exchange = flow->exchange;
    struct answer answer;
    if (!exchange->spoke) {
        exchange->spoke = true;
        exchange->first_byte_ns = received_ns;
    }
    switch (feed(engine, flow, data, &answer)) {
    case NEED_MORE:
        remember(engine, flow, data);
        return true;
    case COMPLETE:
        complete(engine, exchange, received_ns, &answer, data);
        return false;
    case NO_MEMORY:
        fail(engine, ENOMEM);
        finish(engine, exchange, received_ns, NO_INSTANCE, OTHER, false);
        return false;
    default:
        note_odd(engine, flow, data);
        finish(engine, exchange, received_ns, NO_INSTANCE, MALFORMED_ANSWER, false);
        return false;
    }
}

/* Read what came. `error` is why the request could not be sent to its end, 0 if it could. */
static void receive(struct engine *engine, struct flow *flow, int error) {
    const struct transport_ops *transport = engine->profile.transport;
    for (int chunks = 0; chunks < MOST_CHUNKS;) {
        ssize_t length = transport->recv(&flow->link, engine->chunk, CHUNK);
        if (length < 0) {
            if (errno == EINTR)
                continue;
            if (errno == EPIPE) /* reset after the server had closed: nothing received the request */
                gone(engine, flow, RESET);
            else if (errno != EAGAIN && errno != EWOULDBLOCK)
                finish_failed(engine, flow->exchange, error_of(errno));
            return;
        }
        int64_t received_ns = now_ns();
        if (!length) {
            end_of_stream(engine, flow, received_ns, error);
            return;
        }
        if (!take_bytes(engine, flow, (struct span){engine->chunk, (size_t)length}, received_ns))
            return;
        if (length == CHUNK || !transport->is_stream)
            chunks++;
        else if (!flow->hung_up)
            return; /* the socket is empty: the next bytes make an event of their own */
    }
    /* An answer without an end must not keep the others, their time-outs, and the end of all from coming.
       What is left makes an event again. */
    poll_or_fail(engine, flow, flow->polls_out, EPOLL_CTL_MOD);
}

void flow_ready(struct engine *engine, struct flow *flow, uint32_t events) {
    /* An event of this batch can't be one of a socket that was opened since: it was its predecessor's. */
    if (flow->link.fd < 0 || flow->opened == engine->batch)
        return;
    struct exchange *exchange = flow->exchange;
    if (!exchange) {
        /* Nothing was asked: the server has closed a kept connection, has reset it, or speaks out of turn. */
        if (events & ~(uint32_t)EPOLLOUT)
            flow_close(engine, flow);
        return;
    }
    if (events & (EPOLLRDHUP | EPOLLHUP))
        flow->hung_up = true;
    int error = 0;
    if (flow->opening) {
        error = engine->profile.transport->opened(&flow->link, events);
        if (error == EINPROGRESS) {
            poll_or_fail(engine, flow, true, EPOLL_CTL_MOD);
            return;
        }
        if (error) {
            finish_failed(engine, exchange, error_of(error));
            return;
        }
        flow->opening = false;
        exchange->connected_ns = now_ns();
        add(&engine->counters.established, 1);
    }
    if (flow->out.length && send_rest(engine, flow) == BROKEN) {
        error = errno;
        events |= EPOLLIN; /* the server may have answered before it closed */
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        receive(engine, flow, error);
}
