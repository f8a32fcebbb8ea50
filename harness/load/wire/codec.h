/* The seam above the engine: what makes exchanges of bytes. A codec is one file in codecs/, and a line in
   protocols.c. */

#ifndef SAMEPORT_CODEC_H
#define SAMEPORT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

enum verdict {
    NEED_MORE, /* the answer goes on */
    COMPLETE,  /* it has ended */
    MALFORMED, /* not the protocol, too large, or followed by bytes that belong to no request */
    TRUNCATED, /* the stream ended before the answer did */
    NO_MEMORY
};

/* What the reader of all answers wants to know. */
struct wanted {
    const char *header; /* in lower case; the field that names the instance, NULL for none */
    size_t header_length;
    bool body; /* whether the body has to be kept */
};

/* An answer, as far as it has come. Its spans are the codec's, until its next call. */
struct answer {
    uint16_t status;          /* HTTP's; 0 before it was read, and where there is none */
    uint16_t protocol_status; /* the protocol's own: gRPC's, WebSocket's close code; 0 where it has none */
    uint16_t stream;          /* its number on the flow, modulo 65,536; 0 where the protocol has none */
    uint64_t body_bytes;      /* so far */
    struct span name, body;   /* the instance's name in the header; the body if it is wanted */
};

struct codec_ops {
    const char *name;
    size_t state_bytes; /* of its own, in each flow; zero at first */

    /* What is put into `out` goes behind what is in it. The engine sends it and takes it from the front; it stays
       where it is until then. False: no memory. */

    /* Begin with a flow that is new, and forget the one before. */
    bool (*begin)(void *state, struct span *out);

    /* Begin an exchange on it. */
    bool (*encode)(void *state, struct span request, struct span *out);

    /* Take the next bytes, all of them, and say how far the answer has come; what is put into `out` is the protocol's
       own reply. No bytes are the end of the stream. */
    enum verdict (*feed)(void *state, const struct wanted *wanted, struct span data, struct answer *answer,
                         struct span *out);

    /* How many exchanges the flow can have under way, 0 when it takes no other. The engine has one at a time. */
    uint32_t (*capacity)(const void *state);

    /* Give back what the state points to. */
    void (*end)(void *state);
};

/* NULL if there is none of that name. */
const struct codec_ops *codec_find(const char *name);

#endif
