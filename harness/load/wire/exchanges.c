/* Users of the closed loop, and places in the open one: each has one request under way after the other. */

#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static const int64_t LEAST_PAUSE_NS = 1000000, MOST_PAUSE_NS = 100000000;

struct exchange *take_idle(struct engine *engine) {
    if (engine->idle_length)
        return engine->idle[--engine->idle_length];
    if (engine->made == engine->most)
        return NULL;
    struct exchange *exchange = calloc(1, sizeof *exchange);
    struct flow *flow = exchange ? flow_new(&engine->profile) : NULL;
    if (!flow) {
        free(exchange);
        fail(engine, ENOMEM);
        return NULL;
    }
    exchange->flow = flow;
    engine->exchanges[engine->made++] = exchange;
    return exchange;
}

static void rest(struct engine *engine, struct exchange *exchange) {
    engine->active--;
    engine->idle[engine->idle_length++] = exchange;
}

void go_on(struct engine *engine, struct exchange *exchange, int64_t now) {
    if (is_open(engine)) {
        rest(engine, exchange);
        arrive(engine, now);
        return;
    }
    size_t users = atomic_load_explicit(&engine->users, memory_order_relaxed);
    if (may_begin(engine, now) && engine->active <= users) {
        begin(engine, exchange, 0);
    } else {
        flow_close(engine, exchange->flow);
        rest(engine, exchange);
    }
}

void begin(struct engine *engine, struct exchange *exchange, int64_t intended_ns) {
    struct flow *flow = exchange->flow;
    engine->unbegun--;
    exchange->route = engine->profile.turns[engine->turn];
    engine->turn = (engine->turn + 1) % engine->profile.turns_length;
    exchange->start_ns = now_ns();
    exchange->intended_ns = intended_ns ? intended_ns : exchange->start_ns;
    exchange->connected_ns = exchange->first_byte_ns = 0;
    exchange->body_bytes = 0;
    exchange->status = exchange->protocol_status = exchange->stream = 0;
    exchange->spoke = false;
    exchange->reused = flow->link.fd >= 0;
    flow->exchange = exchange;
    begin_waiting(engine, exchange);
    if (exchange->reused)
        flow_ask(engine, flow);
    else
        flow_open(engine, flow);
}

void finish(struct engine *engine, struct exchange *exchange, int64_t ended_ns, uint32_t instance, enum error error,
            bool keep) {
    struct flow *flow = exchange->flow;
    end_waiting(engine, exchange);
    record(engine, exchange, ended_ns, instance, error);
    flow->exchange = NULL;
    flow->began.length = 0;
    if (flow->left && !--flow->left)
        keep = false;
    if (!keep)
        flow_close(engine, flow);
    if (!is_broken(error)) {
        exchange->failures = 0;
        if (engine->profile.think_ns && !is_open(engine))
            pause_for(engine, exchange, ended_ns + engine->profile.think_ns);
        else
            go_on(engine, exchange, ended_ns);
        return;
    }
    /* A refused connection fails in microseconds: without a pause, users whose instance is gone would spin,
       take the processor from the others, and fill the recording with one event, a million times. */
    int64_t pause = LEAST_PAUSE_NS << (exchange->failures < 7 ? exchange->failures : 7);
    exchange->failures++;
    if (pause > MOST_PAUSE_NS)
        pause = MOST_PAUSE_NS;
    if (pause < engine->profile.think_ns)
        pause = engine->profile.think_ns;
    if (is_open(engine))
        go_on(engine, exchange, ended_ns); /* arrivals come when they come */
    else
        pause_for(engine, exchange, ended_ns + pause);
}

void finish_failed(struct engine *engine, struct exchange *exchange, enum error error) {
    finish(engine, exchange, now_ns(), NO_INSTANCE, error, false);
}

void complete(struct engine *engine, struct exchange *exchange, int64_t received_ns, const struct answer *answer,
              struct span data) {
    const struct profile *profile = &engine->profile;
    struct flow *flow = exchange->flow;
    uint32_t instance = NO_INSTANCE;
    if (answer->name.length)
        instance = engine_identity(engine, answer->name.data, answer->name.length);
    else if (profile->wanted.body)
        instance = profile->name_body(profile->context, answer->body.data, answer->body.length);
    enum error error = NONE;
    if (answer->status >= 400) {
        error = STATUS;
    } else if (instance == NO_INSTANCE && profile->named) {
        error = UNIDENTIFIED;
        note_odd(engine, flow, data);
    }
    /* Where the answer came before all of the request was sent, nothing can follow. */
    bool keep = profile->codec->capacity(flow->codec) && !flow->hung_up && !flow->out.length;
    finish(engine, exchange, received_ns, instance, error, keep);
}
