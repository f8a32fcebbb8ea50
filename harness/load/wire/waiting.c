/* The exchanges under way, in the order of their time-outs, and those that pause. */

#include "internal.h"

void begin_waiting(struct engine *engine, struct exchange *exchange) {
    exchange->newer = NULL;
    exchange->older = engine->newest;
    *(engine->newest ? &engine->newest->newer : &engine->oldest) = exchange;
    engine->newest = exchange;
}

void end_waiting(struct engine *engine, struct exchange *exchange) {
    *(exchange->older ? &exchange->older->newer : &engine->oldest) = exchange->newer;
    *(exchange->newer ? &exchange->newer->older : &engine->newest) = exchange->older;
}

void pause_for(struct engine *engine, struct exchange *exchange, int64_t wakes_ns) {
    size_t at = engine->paused_length++;
    exchange->wakes_ns = wakes_ns;
    while (at) {
        size_t parent = (at - 1) / 2;
        if (engine->paused[parent]->wakes_ns <= wakes_ns)
            break;
        engine->paused[at] = engine->paused[parent];
        at = parent;
    }
    engine->paused[at] = exchange;
}

struct exchange *end_pause(struct engine *engine) {
    struct exchange *first = engine->paused[0], *last = engine->paused[--engine->paused_length];
    size_t at = 0, length = engine->paused_length;
    if (length) {
        for (size_t child; (child = 2 * at + 1) < length; at = child) {
            if (child + 1 < length && engine->paused[child + 1]->wakes_ns < engine->paused[child]->wakes_ns)
                child++;
            if (engine->paused[child]->wakes_ns >= last->wakes_ns)
                break;
            engine->paused[at] = engine->paused[child];
        }
        engine->paused[at] = last;
    }
    return first;
}
