/* A stand-in for buildkitd: answers unary calls as it does, and moves bulk through Control/Session.
 *
 * sink UNIX_PATH [TLS_PORT CA CERTIFICATE KEY]
 *
 * The unix socket speaks HTTP/2 by prior knowledge; the TLS port (the "direct TLS" row) asks for a client certificate.
 * The first message of a Session says what follows: "up" (swallow until END_STREAM), "down N" (send N octets), "hold"
 * (open the windows wide, then read this connection no more). One thread; prints "ready" and serves until killed.
 */
#include "wire.h"

#include <signal.h>

enum treatment { UNARY, ASKING, UPLOAD, DOWNLOAD };

struct stream {
  enum treatment treatment;
  const uint8_t *answer;
  size_t answer_octets;
  uint64_t left, at; /* of the answer still to be sent; position in the endless noise */
  bool answered;
  size_t asked_octets;
  uint8_t asked[64];
};

static int epoll;
static uint8_t piece[PIECE_OCTETS];
static uint8_t workers[256], version[64];
static size_t workers_octets, version_octets;

static size_t put(uint8_t *to, int field, const void *value, size_t octets) {
  to[0] = (uint8_t)(field << 3 | 2);
  size_t head = 2;
  if (octets < 128) {
    to[1] = (uint8_t)octets;
  } else {
    to[1] = (uint8_t)(octets & 0x7f) | 0x80, to[2] = (uint8_t)(octets >> 7), head = 3;
  }
  memmove(to + head, value, octets);
  return head + octets;
}

static size_t put_text(uint8_t *to, int field, const char *text) { return put(to, field, text, strlen(text)); }

static size_t put_label(uint8_t *to, const char *name, const char *value) {
  uint8_t entry[128];
  size_t n = put_text(entry, 1, name);
  n += put_text(entry + n, 2, value);
  return put(to, 2, entry, n);
}

static size_t frame_message(uint8_t *to, const uint8_t *message, size_t octets) {
  memmove(to + 5, message, octets);
  to[0] = 0, to[1] = 0, to[2] = 0, to[3] = (uint8_t)(octets >> 8), to[4] = (uint8_t)octets;
  return octets + 5;
}

/* InfoResponse and ListWorkersResponse, of the size that BuildKit inside a Docker daemon sends. */
static void make_answers(void) {
  uint8_t v[64], r[256], m[256];
  size_t vn = put_text(v, 1, "github.com/moby/buildkit");
  vn += put_text(v + vn, 2, "v0.17.0");
  version_octets = frame_message(version, m, put(m, 1, v, vn));
  size_t n = put_text(r, 1, "j5v1gmvz2n0vbkrsn5qzs3a7d");
  n += put_label(r + n, "org.mobyproject.buildkit.worker.moby.host-gateway-ip", "172.17.0.1");
  n += put_label(r + n, "org.mobyproject.buildkit.worker.executor", "oci");
  n += put(r + n, 5, v, vn);
  workers_octets = frame_message(workers, m, put(m, 1, r, n));
}

static void end_with_status(nghttp2_session *h2, int32_t id) {
  static const nghttp2_nv trailers[] = {{(uint8_t *)"grpc-status", (uint8_t *)"0", 11, 1, 0},
                                        {(uint8_t *)"grpc-message", (uint8_t *)"", 12, 0, 0}};
  nghttp2_submit_trailer(h2, id, trailers, 2);
}

static ssize_t read_answer(nghttp2_session *h2, int32_t id, uint8_t *to, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *user) {
  (void)user;
  struct stream *s = source->ptr;
  size_t n = s->left < room ? (size_t)s->left : room, done = 0;
  while (done < n) {
    size_t at = (size_t)(s->at % s->answer_octets), some = s->answer_octets - at;
    if (some > n - done) some = n - done;
    memcpy(to + done, s->answer + at, some);
    done += some, s->at += some;
  }
  s->left -= n;
  if (s->left == 0) {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    end_with_status(h2, id);
  }
  return (ssize_t)n;
}

static void answer(nghttp2_session *h2, int32_t id, struct stream *s, const uint8_t *octets, size_t count, uint64_t left) {
  static const nghttp2_nv head[] = {{(uint8_t *)":status", (uint8_t *)"200", 7, 3, 0},
                                    {(uint8_t *)"content-type", (uint8_t *)"application/grpc", 12, 16, 0}};
  if (s->answered) return;
  s->answered = true, s->answer = octets, s->answer_octets = count, s->left = left;
  nghttp2_data_provider provider = {.source.ptr = s, .read_callback = read_answer};
  nghttp2_submit_response(h2, id, head, 2, &provider);
}

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *frame, void *user) {
  (void)user;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    struct stream *s = calloc(1, sizeof *s);
    s->answer = workers, s->answer_octets = workers_octets;
    nghttp2_session_set_stream_user_data(h2, frame->hd.stream_id, s);
  }
  return 0;
}

static bool ends_with(const uint8_t *value, size_t n, const char *end) {
  size_t m = strlen(end);
  return n >= m && memcmp(value + n - m, end, m) == 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_octets,
                     const uint8_t *value, size_t octets, uint8_t flags, void *user) {
  (void)flags, (void)user;
  struct stream *s = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
  if (!s || name_octets != 5 || memcmp(name, ":path", 5) != 0) return 0;
  if (ends_with(value, octets, "/Session")) s->treatment = ASKING;
  if (ends_with(value, octets, "/Info")) s->answer = version, s->answer_octets = version_octets;
  return 0;
}

static void obey(nghttp2_session *h2, int32_t id, struct stream *s, struct wire *w) {
  if (s->asked_octets < 7 || s->asked_octets < 5u + s->asked[4]) return;
  char *word = (char *)s->asked + 7;
  s->asked[5 + s->asked[4]] = 0;
  s->treatment = UPLOAD;
  if (strncmp(word, "down ", 5) == 0) {
    s->treatment = DOWNLOAD;
    answer(h2, id, s, piece, sizeof piece, strtoull(word + 5, NULL, 10));
  } else if (strcmp(word, "hold") == 0) {
    nghttp2_session_set_local_window_size(h2, 0, 0, INT32_MAX);
    nghttp2_session_set_local_window_size(h2, 0, id, INT32_MAX);
    w->paused = true;
  }
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *data, size_t octets, void *user) {
  (void)flags;
  struct stream *s = nghttp2_session_get_stream_user_data(h2, id);
  if (!s || s->treatment != ASKING) return 0;
  for (size_t i = 0; i < octets && s->asked_octets < sizeof s->asked - 1; i++) s->asked[s->asked_octets++] = data[i];
  obey(h2, id, s, user);
  return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *user) {
  (void)user;
  bool may_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
  if (!may_end || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
  struct stream *s = nghttp2_session_get_stream_user_data(h2, frame->hd.stream_id);
  if (!s) return 0;
  if (s->treatment == UNARY)
    answer(h2, frame->hd.stream_id, s, s->answer, s->answer_octets, s->answer_octets);
  else if (s->treatment == UPLOAD)
    answer(h2, frame->hd.stream_id, s, piece, 1, 0);
  return 0;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t code, void *user) {
  (void)code, (void)user;
  free(nghttp2_session_get_stream_user_data(h2, id));
  return 0;
}

static int choose_h2(SSL *ssl, const unsigned char **out, unsigned char *octets, const unsigned char *in, unsigned n,
                     void *arg) {
  (void)ssl, (void)arg;
  int found = SSL_select_next_proto((unsigned char **)out, octets, (const unsigned char *)"\2h2", 3, in, n);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static nghttp2_session_callbacks *callbacks;

static void accept_from(int listener, SSL_CTX *tls) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (tls) set_no_delay(fd);
    struct wire *w = malloc(sizeof *w);
    wire_open(w, fd, tls, true, epoll);
    nghttp2_session_server_new(&w->h2, callbacks, w);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 250},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_OCTETS}};
    nghttp2_submit_settings(w->h2, 0, settings, 2);
    nghttp2_session_set_local_window_size(w->h2, 0, 0, WINDOW_OCTETS);
    wire_turn(w, epoll);
  }
}

int main(int argc, char **argv) {
  if (argc != 2 && argc != 6) {
    fprintf(stderr, "sink UNIX_PATH [TLS_PORT CA CERTIFICATE KEY]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  raise_file_limit();
  fill_piece(piece);
  make_answers();
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  int listeners[2] = {listen_unix(argv[1]), -1};
  SSL_CTX *tls = NULL;
  if (argc == 6) {
    tls = tls_context(TLS_server_method(), argv[3], argv[4], argv[5]);
    SSL_CTX_set_alpn_select_cb(tls, choose_h2, NULL);
    listeners[1] = listen_tcp(atoi(argv[2]));
  }
  for (int i = 0; i < 2; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listeners[i]};
    if (listeners[i] >= 0) epoll_ctl(epoll, EPOLL_CTL_ADD, listeners[i], &e);
  }
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < n; i++) {
      void *p = events[i].data.ptr;
      if (p == &listeners[0]) {
        accept_from(listeners[0], NULL);
      } else if (p == &listeners[1]) {
        accept_from(listeners[1], tls);
      } else {
        struct wire *w = p;
        if (w->paused && (events[i].events & (EPOLLHUP | EPOLLERR))) w->dead = true;
        if (!w->dead) wire_turn(w, epoll);
        if (w->dead) wire_close(w), free(w);
      }
    }
  }
}
