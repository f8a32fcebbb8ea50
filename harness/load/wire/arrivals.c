/* Arrivals of the open loop: when they are due, and what becomes of them. */

#include <math.h>

#include "internal.h"

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15; /* SplitMix64: Steele, Lea, Flood (OOPSLA 2014) */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void schedule(struct engine *engine) {
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

/* It may before the end, and behind it if it came so shortly before that the loop has not looked since. */
bool may_arrive(const struct engine *engine, int64_t now) {
    return engine->next_ns < engine->end_ns && engine->unbegun &&
           (now < engine->end_ns || engine->next_ns > engine->seen_ns) &&
           !atomic_load_explicit(&engine->stopped, memory_order_relaxed);
}

void arrive(struct engine *engine, int64_t now) {
    if (engine->arriving)
        return; /* a request that failed at once ends in here again */
    engine->arriving = true;
    while (engine->next_ns <= now && may_arrive(engine, now)) {
        struct exchange *exchange = take_idle(engine);
        if (!exchange)
            break;
        int64_t intended_ns = engine->next_ns;
        schedule(engine);
        engine->active++;
        begin(engine, exchange, intended_ns);
        if (exchange->start_ns - now > FLUSH_NS)
            break; /* they come faster than they can be sent: answers and time-outs must not wait for the last */
    }
    engine->seen_ns = now;
    engine->arriving = false;
}

void count_unsent(struct engine *engine, int64_t now) {
    int64_t until_ns = now < engine->end_ns ? now : engine->end_ns;
    while (is_open(engine) && engine->unbegun && engine->next_ns < until_ns) {
        add(&engine->counters.unsent, 1);
        engine->unbegun--;
        schedule(engine);
    }
}
