/* The transports and codecs there are. */

#include <string.h>

#include "codec.h"
#include "transport.h"

extern const struct transport_ops tcp;
extern const struct codec_ops http1;

static const struct transport_ops *const transports[] = {&tcp};
static const struct codec_ops *const codecs[] = {&http1};

const struct transport_ops *transport_find(const char *name) {
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
        if (!strcmp(transports[i]->name, name))
            return transports[i];
    return NULL;
}

const struct codec_ops *codec_find(const char *name) {
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
        if (!strcmp(codecs[i]->name, name))
            return codecs[i];
    return NULL;
}
