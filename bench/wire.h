/* One HTTP/2 connection over a socket, with or without TLS: shared by client.c and sink.c.
 *
 * The owner sets up an nghttp2 session with its own callbacks; `wire_turn` moves octets both ways until the socket would
 * block. Writes are joined into pieces of 64 KiB, as grpc-go's loopy writer does within a turn. Linux only (epoll).
 */
#ifndef KILNGATE_BENCH_WIRE_H
#define KILNGATE_BENCH_WIRE_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024 * 1024)
/* BuildKit inside a Docker daemon: 1 MiB windows; grpc-go grows a receiving window to 1-2 MB in a real build. */
#define WINDOW_OCTETS (2 * MIB)
#define JOIN_OCTETS (64 * 1024)
/* A DATA frame with its head; nghttp2 never sends more than 16 KiB of payload in one. */
#define FRAME_OCTETS (16384 + 256 + 9)
#define SCRATCH_OCTETS (256 * 1024)
/* One message of Control/Session that fills a DATA frame: prefix (5), tag and length of BytesMessage.data (3), data. */
#define PIECE_OCTETS 16384

struct wire {
  int fd;
  SSL *ssl;
  nghttp2_session *h2;
  bool shaken; /* the TLS handshake is over, or there is none */
  bool dead;
  bool paused; /* the owner wants no reads */
  bool armed_write;
  bool armed_read;
  size_t out_at, out_end;
  uint8_t out[JOIN_OCTETS + FRAME_OCTETS];
};

static uint8_t wire_scratch[SCRATCH_OCTETS];

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  ERR_print_errors_fp(stderr);
  exit(1);
}

static inline void raise_file_limit(void) {
  struct rlimit r;
  if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
  }
}

/* A message of PIECE_OCTETS: what Control/Session carries in bulk. The payload is noise, so that nothing can squeeze it. */
static inline void fill_piece(uint8_t *piece) {
  uint64_t x = 88172645463325252ull;
  for (int i = 0; i < PIECE_OCTETS; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    piece[i] = (uint8_t)x;
  }
  /* Prefix: not compressed, length. Then field 1, length-delimited, its length in two octets of varint. */
  uint32_t message = PIECE_OCTETS - 5, data = message - 3;
  if (data >> 14) abort();
  piece[0] = 0, piece[1] = 0, piece[2] = 0, piece[3] = (uint8_t)(message >> 8), piece[4] = (uint8_t)message;
  piece[5] = 0x0a, piece[6] = (uint8_t)(data & 0x7f) | 0x80, piece[7] = (uint8_t)(data >> 7);
}

static inline void set_no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline int listen_unix(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) die("socket path too long");
  strcpy(a.sun_path, path);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die(path);
  return fd;
}

static inline int connect_unix(const char *path) {
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof a.sun_path) die("socket path too long");
  strcpy(a.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) die(path);
  return fd;
}

static inline struct sockaddr_in loopback(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static inline int listen_tcp(int port) {
  struct sockaddr_in a = loopback(port);
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die("listen");
  return fd;
}

static inline int connect_tcp(int port) {
  struct sockaddr_in a = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) die("connect");
  set_no_delay(fd);
  return fd;
}

static inline SSL_CTX *tls_context(const SSL_METHOD *method, const char *ca, const char *certificate, const char *key) {
  SSL_CTX *c = SSL_CTX_new(method);
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(c, 1);
  SSL_CTX_set_default_read_buffer_len(c, 64 * 1024);
  if (SSL_CTX_load_verify_locations(c, ca, NULL) != 1 || SSL_CTX_use_certificate_chain_file(c, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
    die("certificates");
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
  return c;
}

static inline void wire_open(struct wire *w, int fd, SSL_CTX *tls, bool server, int epoll) {
  memset(w, 0, sizeof *w - sizeof w->out);
  w->fd = fd;
  w->shaken = tls == NULL;
  w->armed_read = true;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  if (tls) {
    w->ssl = SSL_new(tls);
    SSL_set_fd(w->ssl, fd);
    if (server)
      SSL_set_accept_state(w->ssl);
    else
      SSL_set_connect_state(w->ssl);
  }
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = w};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) die("epoll");
}

static inline void wire_close(struct wire *w) {
  if (w->ssl) {
    if (w->shaken && !w->dead) SSL_shutdown(w->ssl);
    SSL_free(w->ssl);
  }
  if (w->h2) nghttp2_session_del(w->h2);
  close(w->fd);
  w->ssl = NULL, w->h2 = NULL, w->fd = -1, w->dead = true;
}

/* Returns octets moved, 0 if the socket would block; marks the wire dead on anything else. */
static inline size_t wire_read_some(struct wire *w) {
  if (!w->ssl) {
    ssize_t n = read(w->fd, wire_scratch, sizeof wire_scratch);
    if (n > 0) return (size_t)n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    w->dead = true;
    return 0;
  }
  size_t got = 0;
  while (sizeof wire_scratch - got >= 16384) { /* room for a whole record */
    int n = SSL_read(w->ssl, wire_scratch + got, (int)(sizeof wire_scratch - got));
    if (n > 0) {
      got += (size_t)n;
      continue;
    }
    int why = SSL_get_error(w->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) w->dead = true;
    ERR_clear_error();
    break;
  }
  return got;
}

static inline size_t wire_write_some(struct wire *w) {
  const uint8_t *p = w->out + w->out_at;
  size_t n = w->out_end - w->out_at;
  if (!w->ssl) {
    ssize_t sent = send(w->fd, p, n, MSG_NOSIGNAL);
    if (sent >= 0) return (size_t)sent;
    if (errno != EAGAIN && errno != EINTR) w->dead = true;
    return 0;
  }
  int sent = SSL_write(w->ssl, p, (int)n);
  if (sent > 0) return (size_t)sent;
  int why = SSL_get_error(w->ssl, sent);
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) w->dead = true;
  ERR_clear_error();
  return 0;
}

static inline void wire_send(struct wire *w) {
  while (!w->dead) {
    if (w->out_at == w->out_end) {
      w->out_at = w->out_end = 0;
      while (w->out_end < JOIN_OCTETS) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(w->h2, &p);
        if (n < 0) w->dead = true;
        if (n <= 0) break;
        if ((size_t)n > sizeof w->out - w->out_end) abort();
        memcpy(w->out + w->out_end, p, (size_t)n);
        w->out_end += (size_t)n;
      }
      if (w->out_end == 0) return;
    }
    size_t sent = wire_write_some(w);
    if (sent == 0) return;
    w->out_at += sent;
  }
}

static inline void wire_arm(struct wire *w, int epoll) {
  bool write = w->out_at < w->out_end, read = !w->paused;
  if (write == w->armed_write && read == w->armed_read) return;
  w->armed_write = write, w->armed_read = read;
  struct epoll_event e = {.events = (read ? EPOLLIN : 0u) | (write ? EPOLLOUT : 0u), .data.ptr = w};
  epoll_ctl(epoll, EPOLL_CTL_MOD, w->fd, &e);
}

/* Both directions, a bounded amount; then epoll is told what to wait for. */
static inline void wire_turn(struct wire *w, int epoll) {
  if (!w->shaken) {
    int n = SSL_do_handshake(w->ssl);
    if (n == 1) {
      w->shaken = true;
    } else {
      int why = SSL_get_error(w->ssl, n);
      if (why != SSL_ERROR_WANT_READ) {
        ERR_print_errors_fp(stderr);
        w->dead = true;
      }
      return;
    }
  }
  for (int turn = 0; turn < 4 && !w->dead && !w->paused; turn++) {
    size_t n = wire_read_some(w);
    if (n && nghttp2_session_mem_recv(w->h2, wire_scratch, n) < 0) w->dead = true;
    if (n < sizeof wire_scratch - 16384) break;
  }
  if (!w->dead) wire_send(w);
  if (!w->dead && !nghttp2_session_want_read(w->h2) && !nghttp2_session_want_write(w->h2)) w->dead = true;
  /* A bounded read may leave decrypted octets that epoll cannot see: go on while there are any. */
  while (!w->dead && !w->paused && w->ssl && SSL_pending(w->ssl) > 0) {
    size_t n = wire_read_some(w);
    if (n && nghttp2_session_mem_recv(w->h2, wire_scratch, n) < 0) w->dead = true;
    if (!w->dead) wire_send(w);
  }
  if (!w->dead) wire_arm(w, epoll);
}

#define FIELD(name, value)                                                                                              \
  { (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, strlen(value), NGHTTP2_NV_FLAG_NONE }

#endif
