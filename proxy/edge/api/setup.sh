#!/bin/sh
# Sets up docker buildx to build on a kilngate farm, with a short-lived certificate for a token.
#
# Needs openssl, curl or GNU wget, and docker with buildx. Read from the environment:
#
#   KILNGATE_TOKEN       a token that the farm knows, such as a GitLab job's id_token; or
#   KILNGATE_TOKEN_FILE  the file that holds it, such as a projected token in Kubernetes;
#                        on GitHub Actions neither is needed, but `permissions: {id-token: write}`
#   KILNGATE_FARM        HOST or HOST:PORT of the farm; where this script came from if not given
#   KILNGATE_AUDIENCE    the audience to ask GitHub for; https://HOST if not given
#   KILNGATE_CA_FILE     the farm's authority, where the system does not trust it
#   KILNGATE_HOME        the directory for key and certificates; ~/.config/kilngate/HOST if not given
#   KILNGATE_BUILDER     the builder's name, farm if not given; empty: make none
set -eu
umask 077

die() {
    printf 'kilngate: %s\n' "$*" >&2
    exit 1
}

farm=${KILNGATE_FARM:-@FARM@}
[ -n "$farm" ] || die "set KILNGATE_FARM to HOST or HOST:PORT of the farm"
case $farm in
*[!][A-Za-z0-9.:-]*) die "KILNGATE_FARM is not HOST or HOST:PORT" ;;
\[*\]) address=$farm:443 ;;
*:*) address=$farm ;;
*) address=$farm:443 ;;
esac
host=${address%:*}
builder=${KILNGATE_BUILDER-farm}
home=${KILNGATE_HOME:-${HOME:?set HOME or KILNGATE_HOME}/.config/kilngate/$host}
case $home in
*,*) die "the directory $home has a comma in its name, which buildx cannot take; set KILNGATE_HOME" ;;
esac

command -v openssl >/dev/null || die "openssl is missing; install it, or use the kilngate client"
if command -v curl >/dev/null; then
    client=curl
elif wget --version 2>/dev/null | grep -q 'GNU Wget'; then
    client=wget
else
    die "neither curl nor GNU wget is here; install one of them"
fi

mkdir -p "$home"
home=$(cd "$home" && pwd)
work=$(mktemp -d "$home/.setup.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Secrets go through files that only we can read: a command line can be read by everybody on the machine.
curl_config() {
    printf 'silent\nshow-error\nproto = "=https"\noutput = "%s"\n' "$work/answer"
    [ -z "$ca" ] || printf 'cacert = "%s"\n' "$ca"
    [ -z "$1" ] || printf 'header = "Authorization: Bearer %s"\n' "$1"
    [ -z "$2" ] || printf 'header = "Content-Type: application/pkcs10"\ndata-binary = "@%s"\n' "$2"
}

wget_config() {
    printf 'quiet = on\nhttps_only = on\ncontent_on_error = on\noutput_document = %s\n' "$work/answer"
    [ -z "$ca" ] || printf 'ca_certificate = %s\n' "$ca"
    [ -z "$1" ] || printf 'header = Authorization: Bearer %s\n' "$1"
    [ -z "$2" ] || printf 'header = Content-Type: application/pkcs10\npost_file = %s\n' "$2"
}

# ask URL TOKEN BODY_FILE: leaves what was answered in $work/answer
ask() {
    "${client}_config" "$2" "$3" >"$work/config"
    rm -f "$work/answer"
    if [ "$client" = curl ]; then
        status=$(curl --disable --config "$work/config" --write-out '%{http_code}' "$1") ||
            die "$1 cannot be reached, or is not who it should be (private authority: set KILNGATE_CA_FILE)"
    else
        status=200
        WGETRC=$work/config wget "$1" || status=$?
        [ "$status" = 200 ] || [ "$status" = 8 ] ||
            die "$1 cannot be reached, or is not who it should be (private authority: set KILNGATE_CA_FILE)"
    fi
    rm -f "$work/config"
    [ "$status" = 200 ] || die "$1 refused: $(member message <"$work/answer") ($(member code <"$work/answer"))"
}

# member NAME: the value of a text in small JSON
member() {
    tr -d '\n' | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

ca=
if [ -n "${KILNGATE_CA_FILE:-}" ]; then
    cp "$KILNGATE_CA_FILE" "$work/ca.pem"
    ca=$work/ca.pem
fi

token=${KILNGATE_TOKEN:-}
if [ -z "$token" ] && [ -n "${KILNGATE_TOKEN_FILE:-}" ]; then
    token=$(cat "$KILNGATE_TOKEN_FILE")
elif [ -z "$token" ] && [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ]; then
    own_ca=$ca
    ca=
    ask "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${KILNGATE_AUDIENCE:-https://$host}" "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}" ""
    ca=$own_ca
    token=$(member value <"$work/answer")
fi
[ -n "$token" ] || die "no token: set KILNGATE_TOKEN or KILNGATE_TOKEN_FILE; on GitHub: permissions: {id-token: write}"
case $token in
*[!A-Za-z0-9._-]*) die "the token is not one token" ;;
esac

if [ -z "$ca" ]; then
    ask "https://$address/v1/ca.pem" "" ""
    mv "$work/answer" "$work/ca.pem"
fi

# A token of a job counts once. Whoever runs this twice in one job keeps what the first run got.
digest=$(printf %s "$token" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
if [ "$(cat "$home/token.sha256" 2>/dev/null)" = "$digest" ] &&
    openssl x509 -in "$home/cert.pem" -noout -checkend 600 >/dev/null 2>&1; then
    echo "kilngate: the certificate in $home is still good"
else
    openssl ecparam -name prime256v1 -genkey -noout -out "$work/key.pem"
    openssl req -new -key "$work/key.pem" -subj /CN=kilngate -out "$work/request.pem"
    ask "https://$address/v1/certificates" "$token" "$work/request.pem"
    grep -q 'BEGIN CERTIFICATE' "$work/answer" || die "$address answered something else than a certificate"
    mv "$work/key.pem" "$home/key.pem"
    mv "$work/answer" "$home/cert.pem"
    printf %s "$digest" >"$home/token.sha256"
    echo "kilngate: $home/cert.pem is good until $(openssl x509 -in "$home/cert.pem" -noout -enddate | cut -d = -f 2)"
fi
mv "$work/ca.pem" "$home/ca.pem"

if [ -z "$builder" ]; then
    exit 0
fi
command -v docker >/dev/null || die "docker is missing; the files are in $home"
options="cacert=$home/ca.pem,cert=$home/cert.pem,key=$home/key.pem"
known=${DOCKER_CONFIG:-${HOME:-}/.docker}/buildx/instances/$builder
# The files are read anew for each build, so a builder that names them already needs no change.
if grep -qsF "\"tcp://$address\"" "$known" && grep -qsF "$home/cert.pem" "$known"; then
    docker buildx use "$builder"
else
    docker buildx rm "$builder" >/dev/null 2>&1 || :
    docker buildx create --name "$builder" --use --driver remote --driver-opt "$options" "tcp://$address" >/dev/null
fi
docker buildx inspect --bootstrap "$builder" >"$work/inspected" 2>&1 ||
    die "the builder was made, but the farm does not take its calls: $(tail -n 1 "$work/inspected")"
echo "kilngate: builder $builder is ready: docker buildx build --builder $builder ."
