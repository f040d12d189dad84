/* The loops of `sending_loops.py` in C: the control that shows what of a loop is Python.
 *
 * Each moves `length` bytes of a file into a blocking socket, `chunk_bytes` a turn, or makes the
 * same calls with nothing to move. Returns 0, or a negative errno.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

static int send_all(int sock, const char *chunk, size_t count)
{
    while (count > 0) {
        const ssize_t sent = send(sock, chunk, count, 0);
        if (sent < 0)
            return -errno;
        chunk += sent;
        count -= sent;
    }
    return 0;
}

int read_and_send(int sock, int file, off_t length, size_t chunk_bytes)
{
    char *chunk = malloc(chunk_bytes);
    int outcome = 0;

    for (off_t position = 0; position < length && outcome == 0;) {
        const ssize_t came = pread(file, chunk, chunk_bytes, position);
        outcome = came > 0 ? send_all(sock, chunk, came) : came < 0 ? -errno : -EIO;
        position += came;
    }
    free(chunk);
    return outcome;
}

int map_and_send(int sock, int file, off_t length, size_t chunk_bytes)
{
    const char *whole = mmap(NULL, length, PROT_READ, MAP_SHARED, file, 0);
    int outcome = 0;

    if (whole == MAP_FAILED)
        return -errno;
    for (off_t position = 0; position < length && outcome == 0; position += chunk_bytes) {
        const size_t left = length - position;
        outcome = send_all(sock, whole + position, left < chunk_bytes ? left : chunk_bytes);
    }
    munmap((void *)whole, length);
    return outcome;
}

int only_sendfile(int sock, int file, off_t length, size_t chunk_bytes)
{
    for (off_t position = 0; position < length;) {
        const ssize_t moved = sendfile(sock, file, &position, chunk_bytes);
        if (moved <= 0)
            return moved < 0 ? -errno : -EIO;
    }
    return 0;
}

int read_and_send_nothing(int sock, int file, off_t length, size_t chunk_bytes)
{
    char chunk[1];

    for (off_t position = 0; position < length; position += chunk_bytes)
        if (pread(file, chunk, 0, position) < 0 || send(sock, chunk, 0, 0) < 0)
            return -errno;
    return 0;
}

int sendfile_nothing(int sock, int file, off_t length, size_t chunk_bytes)
{
    for (off_t position = 0; position < length; position += chunk_bytes) {
        off_t here = position;
        if (sendfile(sock, file, &here, 0) < 0)
            return -errno;
    }
    return 0;
}
