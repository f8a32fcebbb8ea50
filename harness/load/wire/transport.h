/* The seam below the engine: what moves bytes. A transport is one file in transports/, and a line in protocols.c. */

#ifndef SAMEPORT_TRANSPORT_H
#define SAMEPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "record.h"

/* The client's end of one flow. */
struct link {
    int fd;      /* negative: closed */
    void *state; /* the transport's own `state_bytes`; zero at first */
};

/* From where to where a flow goes. */
struct way {
    const struct sockaddr *to, *from; /* from: with port 0; NULL, the kernel chooses */
    socklen_t length;                 /* of either */
    size_t request_bytes;             /* of the first request */
};

struct transport_ops {
    const char *name;
    size_t state_bytes; /* of `link.state`, in each flow */
    bool is_stream;     /* recv() gives less than there was room for only when nothing more is there */

    /* Begin to open; what stays open of a failed attempt is closed by the engine. */
    enum error (*open)(struct link *link, const struct way *way);

    /* After events on a link that opens: 0 when it is open, EINPROGRESS, or the errno of its failure. */
    int (*opened)(struct link *link, uint32_t events);

    /* As send(2) and recv(2) without blocking: -1 and errno, EAGAIN where there is no room, or not yet a link. */
    ssize_t (*send)(struct link *link, const char *data, size_t length);
    ssize_t (*recv)(struct link *link, char *data, size_t length);

    /* The epoll events to wait for; `unsent`: whether bytes are left that could not be sent. */
    uint32_t (*wants)(const struct link *link, bool unsent);

    /* Close an open link, by a reset if that is asked for and the transport has one. */
    void (*close)(struct link *link, bool by_reset);
};

/* NULL if there is none of that name. */
const struct transport_ops *transport_find(const char *name);

#endif
