/* A plain HTTP/2 socket before the BuildKit inside a Docker daemon.
 *
 * bridge LISTEN_PATH DOCKER_SOCKET
 *
 * Each connection is upgraded with `POST /grpc` and then joined octet by octet. kilngate can do this itself; other doors
 * cannot, so in the bench all of them, kilngate too, stand before this bridge. Two threads a connection; prints "ready".
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE_OCTETS (128 * 1024)

static const char *daemon_path;
static const char UPGRADE[] = "POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";

struct pair {
  int from, to;
  int *ends; /* of the two directions, how many are over; shared by both */
};

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) exit(1);
  strcpy(a.sun_path, path);
  return a;
}

static int send_all(int fd, const char *octets, size_t n) {
  while (n) {
    ssize_t sent = send(fd, octets, n, MSG_NOSIGNAL);
    if (sent <= 0) return -1;
    octets += sent, n -= (size_t)sent;
  }
  return 0;
}

static void *carry(void *argument) {
  struct pair *p = argument;
  char *piece = malloc(PIECE_OCTETS);
  for (ssize_t n; (n = recv(p->from, piece, PIECE_OCTETS, 0)) > 0;)
    if (send_all(p->to, piece, (size_t)n)) break;
  free(piece);
  shutdown(p->to, SHUT_WR);
  shutdown(p->from, SHUT_RD);
  if (__atomic_add_fetch(p->ends, 1, __ATOMIC_ACQ_REL) == 2) {
    close(p->from), close(p->to);
    free(p->ends);
  }
  free(p);
  return NULL;
}

/* Reads the answer's head and no octet more; what follows is HTTP/2. */
static int upgrade(int fd) {
  char head[4096];
  size_t n = 0;
  if (send_all(fd, UPGRADE, sizeof UPGRADE - 1)) return -1;
  while (n < sizeof head - 1 && recv(fd, head + n, 1, 0) == 1) {
    head[++n] = 0;
    if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0) return strncmp(head, "HTTP/1.1 101", 12) ? -1 : 0;
  }
  return -1;
}

static void start(int from, int to, int *ends) {
  struct pair *p = calloc(1, sizeof *p);
  p->from = from, p->to = to, p->ends = ends;
  pthread_t thread;
  if (pthread_create(&thread, NULL, carry, p)) exit(1);
  pthread_detach(thread);
}

static void *join(void *argument) {
  int caller = (int)(long)argument, daemon = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_un a = address(daemon_path);
  if (connect(daemon, (struct sockaddr *)&a, sizeof a) || upgrade(daemon)) {
    close(caller), close(daemon);
    return NULL;
  }
  int *ends = calloc(1, sizeof *ends);
  start(caller, daemon, ends);
  start(daemon, caller, ends);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  daemon_path = argv[2];
  struct sockaddr_un a = address(argv[1]);
  unlink(argv[1]);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 1024)) {
    perror(argv[1]);
    return 1;
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) continue;
    pthread_t thread;
    if (pthread_create(&thread, NULL, join, (void *)(long)fd)) return 1;
    pthread_detach(thread);
  }
}
