/* A server that knows how long each of its answers took: of benchmarks/latency_truth.py.

       latency_server LOG DELAY_NS PERIOD_NS STALL_NS

   Listens on a free port of 127.0.0.1 and prints it. Answers every GET DELAY_NS after it had read it. In the
   middle of every PERIOD_NS, counted from the first request, it does nothing for STALL_NS; a period of 0 has
   no stalls. When its standard input ends, it writes the log, a `struct answer` for each, and ends.

   It waits for sockets and never spins: where cores are few, a server that does takes them from its clients.

   One request at a time on a connection, without a body. All times are CLOCK_MONOTONIC. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, CHUNK = 4096, BACKLOG = 1024 };

static const int64_t SECOND_NS = 1000000000;
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char END[] = "\r\n\r\n"; /* of a request */

/* What latency_truth.py reads. */
struct answer {
    int64_t connection;            /* in the order of accepting, from 0 */
    int64_t read_ns;               /* the request was there */
    int64_t sending_ns, written_ns; /* before and after the answer was handed to the kernel */
};

struct connection {
    int fd;
    bool waits, hung_up;
    size_t matched; /* bytes of END that the request has ended with so far */
    int64_t number, read_ns;
    struct connection *next; /* to be answered after this one */
};

static struct {
    int epoll, listener;
    int64_t delay_ns, period_ns, stall_ns, began_ns, accepted;
    struct connection *first, **last; /* to be answered, in the order of reading: all have the same delay */
    struct answer *log;
    size_t logged, room;
} server;

static void die(const char *what) {
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void watch(int fd, void *what) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event))
        die("epoll_ctl");
}

static void welcome(void) {
    int fd = accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    struct connection *connection = calloc(1, sizeof *connection);
    if (fd < 0 || !connection || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
        die("accept");
    connection->fd = fd;
    connection->number = server.accepted++;
    watch(fd, connection);
}

static void leave(struct connection *connection) {
    close(connection->fd);
    free(connection);
}

static void note(const struct answer *answer) {
    if (server.logged == server.room) {
        server.room = server.room ? 2 * server.room : 1 << 16;
        server.log = realloc(server.log, server.room * sizeof *server.log);
        if (!server.log)
            die("the log");
    }
    server.log[server.logged++] = *answer;
}

/* Answer the first one that waits. */
static void answer(int64_t now) {
    struct connection *connection = server.first;
    server.first = connection->next;
    if (!server.first)
        server.last = &server.first;
    connection->waits = false;
    ssize_t sent = send(connection->fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL);
    if (sent == sizeof ANSWER - 1)
        note(&(struct answer){connection->number, connection->read_ns, now, now_ns()});
    else if (sent >= 0 || (errno != EPIPE && errno != ECONNRESET)) /* these: the client's time was over */
        die("send");
    if (connection->hung_up)
        leave(connection);
}

static void answer_due(void) {
    for (int64_t now; server.first && server.first->read_ns + server.delay_ns <= (now = now_ns());)
        answer(now);
}

static void enqueue(struct connection *connection) {
    connection->read_ns = now_ns();
    if (!server.began_ns)
        server.began_ns = connection->read_ns;
    connection->waits = true;
    connection->next = NULL;
    *server.last = connection;
    server.last = &connection->next;
}

static void receive(struct connection *connection) {
    char chunk[CHUNK];
    ssize_t length = recv(connection->fd, chunk, sizeof chunk, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        epoll_ctl(server.epoll, EPOLL_CTL_DEL, connection->fd, NULL);
        connection->hung_up = true;
        if (!connection->waits)
            leave(connection);
        return;
    }
    for (ssize_t i = 0; i < length; i++) {
        if (connection->waits) {
            fprintf(stderr, "a client has sent more before it had its answer\n");
            exit(EXIT_FAILURE);
        }
        if (chunk[i] == END[connection->matched])
            connection->matched++;
        else
            connection->matched = chunk[i] == END[0];
        if (connection->matched == sizeof END - 1) {
            connection->matched = 0;
            enqueue(connection);
        }
    }
}

/* Do nothing as long as a stall lasts. */
static void stall(void) {
    if (!server.period_ns || !server.began_ns)
        return;
    int64_t begins_ns = (server.period_ns - server.stall_ns) / 2, now = now_ns();
    int64_t passed_ns = (now - server.began_ns) % server.period_ns;
    if (passed_ns < begins_ns || passed_ns >= begins_ns + server.stall_ns)
        return;
    int64_t until_ns = now - passed_ns + begins_ns + server.stall_ns;
    struct timespec until = {until_ns / SECOND_NS, until_ns % SECOND_NS};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* Wait for a socket, or until an answer is due, to the nanosecond as far as the kernel can. */
static int wait_for_events(struct epoll_event *events) {
    if (!server.first)
        return epoll_wait(server.epoll, events, EVENTS, -1);
    int64_t patience = server.first->read_ns + server.delay_ns - now_ns();
    if (patience < 0)
        patience = 0;
    struct timespec most = {patience / SECOND_NS, patience % SECOND_NS};
    return epoll_pwait2(server.epoll, events, EVENTS, &most, NULL);
}

static void serve(void) {
    static int standard_input; /* its address stands for it */
    struct epoll_event events[EVENTS];
    watch(STDIN_FILENO, &standard_input);
    watch(server.listener, NULL);
    for (;;) {
        int count = wait_for_events(events);
        if (count < 0 && errno != EINTR)
            die("epoll");
        stall();
        answer_due();
        for (int i = 0; i < count; i++) {
            void *what = events[i].data.ptr;
            if (what == &standard_input)
                return;
            if (what)
                receive(what);
            else
                welcome();
            answer_due();
        }
    }
}

static void listen_on_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server.listener < 0 || bind(server.listener, (struct sockaddr *)&address, size) ||
        listen(server.listener, BACKLOG) || getsockname(server.listener, (struct sockaddr *)&address, &size))
        die("listen");
    printf("%d\n", ntohs(address.sin_port));
    if (fflush(stdout))
        die("standard output");
}

int main(int count, char **arguments) {
    if (count != 5) {
        fprintf(stderr, "usage: latency_server LOG DELAY_NS PERIOD_NS STALL_NS\n");
        return 2;
    }
    server.delay_ns = atoll(arguments[2]);
    server.period_ns = atoll(arguments[3]);
    server.stall_ns = atoll(arguments[4]);
    server.last = &server.first;
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll < 0)
        die("epoll_create1");
    prctl(PR_SET_TIMERSLACK, 1UL); /* else answers are up to 50 us late */
    listen_on_loopback();
    serve();
    FILE *log = fopen(arguments[1], "wb");
    if (!log || fwrite(server.log, sizeof *server.log, server.logged, log) != server.logged || fclose(log))
        die(arguments[1]);
    return 0;
}
