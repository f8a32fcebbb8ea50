/* The record of one request, and the classes of failure in it. */

#ifndef SAMEPORT_RECORD_H
#define SAMEPORT_RECORD_H

#include <errno.h>
#include <stdint.h>

/* Classes of failure, in the order of harness.recording.layout.ERRORS. */
enum error {
    NONE,
    REFUSED,
    RESET,
    TIMED_OUT,
    TRUNCATED_ANSWER,
    MALFORMED_ANSWER,
    UNREACHABLE,
    UNIDENTIFIED,
    STATUS,
    NO_PORT,
    OTHER,
    REJECTED, /* by a locustfile: never here */
    ERRORS
};

enum { NO_INSTANCE = 0xFFFFFFFF };

/* harness.recording.layout.FIELDS, packed. */
struct __attribute__((packed)) record {
    int64_t intended_start_ns, start_ns, latency_ns;
    int64_t connect_ns, first_byte_ns;
    uint32_t connection, instance;
    uint16_t status, source, stream, protocol_status;
    uint8_t error, route;
};

/* The class of an errno that a socket gave. */
static inline enum error error_of(int number) {
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

#endif
