/* The loop of one thread, and what others call. It knows neither protocol nor socket: see transport.h and codec.h. */

#define _GNU_SOURCE
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EVENTS = 256 };

static const uint64_t SHORT_SLICE_NS = 100000; /* the shortest there is */

void fail(struct engine *engine, int error) {
    int none = 0;
    atomic_compare_exchange_strong(&engine->failure, &none, error ? error : EIO);
    atomic_store(&engine->stopped, true);
}

/* Begin with users that have come, and wake those whose pause is over. */
static void welcome(struct engine *engine, int64_t now) {
    size_t users = atomic_load_explicit(&engine->users, memory_order_relaxed);
    while (engine->active < users && may_begin(engine, now)) {
        struct exchange *exchange = take_idle(engine);
        if (!exchange)
            break;
        engine->active++;
        begin(engine, exchange, 0);
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
                flow_ready(engine, events[i].data.ptr, events[i].events);
            else
                drain(engine->wake);
        }
        now = now_ns();
    }
    count_unsent(engine, now);
    flush(engine, now);
    for (size_t i = 0; i < engine->made; i++)
        flow_close(engine, engine->exchanges[i]->flow);
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
    engine->exchanges = calloc(most_connections, sizeof *engine->exchanges);
    engine->idle = calloc(most_connections, sizeof *engine->idle);
    engine->paused = calloc(most_connections, sizeof *engine->paused);
    if (engine->exchanges && engine->idle && engine->paused) {
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
        flow_free(engine, engine->exchanges[i]->flow);
        free(engine->exchanges[i]);
    }
    free(engine->exchanges);
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
