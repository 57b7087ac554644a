/* The least that a server can do with a fix: a loop that receives bytes and counts them.
 *
 * It answers any handshake with a fixed 101, takes no mask off, decodes nothing, writes nothing. What it uses per frame
 * is what the kernel asks for one wake-up and one read on this machine; no server that does something can be below it.
 * `GET /stats` answers "<reads> <bytes>" since the start. Usage: bare_epoll PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_FILES 65536
#define EVENTS 512

static const char WELCOME[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: bm9uZSBpcyBjaGVja2VkIGhlcmU=\r\n\r\n";

static char is_open[MOST_FILES];
static char buffer[65536];
static unsigned long long reads, bytes;

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

/* The handshake comes whole in one read from the bench; anything else is closed. */
static void greet(int fd, ssize_t n) {
    char text[256];
    int size;
    if (n >= 10 && !memcmp(buffer, "GET /stats", 10)) {
        char body[64];
        int length = snprintf(body, sizeof body, "%llu %llu\n", reads, bytes);
        size = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
                        length, body);
        if (write(fd, text, size) < 0) perror("stats");
        close(fd);
    } else if (n >= 4 && !memcmp(buffer, "GET ", 4)) {
        if (write(fd, WELCOME, sizeof WELCOME - 1) < 0) perror("welcome");
        is_open[fd] = 1;
    } else {
        close(fd);
    }
}

int main(int count, char **words) {
    struct rlimit limit;
    struct epoll_event event = {0}, events[EVENTS];
    if (count != 2) {
        fprintf(stderr, "usage: bare_epoll PORT\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = listen_on(atoi(words[1])), loop = epoll_create1(0);
    event.events = EPOLLIN;
    event.data.fd = listener;
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(loop, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int got;
                while ((got = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (got >= MOST_FILES) {
                        close(got);
                        continue;
                    }
                    is_open[got] = 0;
                    event.events = EPOLLIN;
                    event.data.fd = got;
                    epoll_ctl(loop, EPOLL_CTL_ADD, got, &event);
                }
                continue;
            }
            ssize_t n = recv(fd, buffer, sizeof buffer, 0);
            if (n <= 0) {
                if (n == 0 || errno != EAGAIN) close(fd);
            } else if (is_open[fd]) {
                reads++;
                bytes += n;
            } else {
                greet(fd, n);
            }
        }
    }
}
