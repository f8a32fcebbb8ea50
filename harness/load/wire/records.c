/* The records, and their way to the file. */

#include <errno.h>
#include <unistd.h>

#include "internal.h"

void flush(struct engine *engine, int64_t now) {
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

void record(struct engine *engine, const struct exchange *exchange, int64_t ended_ns, uint32_t instance,
            enum error error) {
    if (engine->buffered == BUFFERED_RECORDS)
        flush(engine, ended_ns);
    int64_t start_ns = exchange->start_ns;
    engine->buffer[engine->buffered++] = (struct record){
        .intended_start_ns = exchange->intended_ns,
        .start_ns = start_ns,
        .latency_ns = ended_ns - start_ns,
        .connect_ns = exchange->connected_ns ? exchange->connected_ns - start_ns : -1,
        .first_byte_ns = exchange->first_byte_ns ? exchange->first_byte_ns - start_ns : -1,
        .connection = exchange->flow->serial,
        .instance = instance,
        .status = exchange->status,
        .source = exchange->flow->source,
        .stream = exchange->stream,
        .protocol_status = exchange->protocol_status,
        .error = (uint8_t)error,
        .route = exchange->route,
    };
    add(&engine->counters.requests, 1);
    add(&engine->counters.by_error[error], 1);
    if (!is_broken(error))
        add(&engine->counters.body_bytes, (int64_t)exchange->body_bytes);
}
