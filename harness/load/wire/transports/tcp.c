/* TCP: a socket for each flow. */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../transport.h"

enum { SEGMENT = 1400 }; /* a request that fits into one segment is never held back */

static enum error tcp_open(struct link *link, const struct way *way) {
    int fd = socket(way->to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return OTHER;
    link->fd = fd;
    int yes = 1;
    if (way->request_bytes > SEGMENT)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (way->from) {
        /* ip(7): bind() reserves no port, connect() chooses one that is free for this destination. */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(fd, way->from, way->length))
            return error_of(errno);
    }
    if (connect(fd, way->to, way->length) && errno != EINPROGRESS)
        /* Only connect() runs out of ports; bind() says the same of an address that isn't here. */
        return errno == EADDRNOTAVAIL ? NO_PORT : error_of(errno);
    return NONE;
}

static int tcp_opened(struct link *link, uint32_t events) {
    int error = 0;
    socklen_t size = sizeof error;
    if (events & (EPOLLERR | EPOLLHUP))
        getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

static ssize_t tcp_send(struct link *link, const char *data, size_t length) {
    return send(link->fd, data, length, MSG_NOSIGNAL);
}

static ssize_t tcp_recv(struct link *link, char *data, size_t length) {
    return recv(link->fd, data, length, 0);
}

static uint32_t tcp_wants(const struct link *link, bool unsent) {
    (void)link;
    return EPOLLIN | EPOLLRDHUP | (unsent ? EPOLLOUT : 0U);
}

static void tcp_close(struct link *link, bool by_reset) {
    if (by_reset) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    close(link->fd);
}

const struct transport_ops tcp = {
    .name = "tcp",
    .is_stream = true,
    .open = tcp_open,
    .opened = tcp_opened,
    .send = tcp_send,
    .recv = tcp_recv,
    .wants = tcp_wants,
    .close = tcp_close,
};
