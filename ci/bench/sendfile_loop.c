/* The loop of the `sendfile` strategy and its caller, in C: what Python is compared with.
 *
 * Moves `length` bytes of a file, from `position` on, into a socket, at most `chunk_bytes` per
 * call. A socket that does not block is waited for with poll. Returns the number of calls of
 * sendfile, or a negative errno; a file that ends early is -EIO.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sys/sendfile.h>

long send_slice(int sock, int file, off_t position, off_t length, size_t chunk_bytes)
{
    const off_t end = position + length;
    long calls = 0;

    while (position < end) {
        size_t count = end - position;
        if (count > chunk_bytes)
            count = chunk_bytes;
        const ssize_t moved = sendfile(sock, file, &position, count);
        calls++;
        if (moved > 0 || (moved < 0 && errno == EINTR))
            continue;
        if (moved == 0)
            return -EIO;
        if (errno != EAGAIN)
            return -errno;
        struct pollfd writable = {.fd = sock, .events = POLLOUT};
        if (poll(&writable, 1, -1) < 0 && errno != EINTR)
            return -errno;
    }
    return calls;
}
