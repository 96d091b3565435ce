FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=${VERSION} -X github.com/postern-auth/postern/api.Version=${VERSION}" -o /postern ./cmd/postern

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /postern /postern
EXPOSE 8081
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/postern", "ready"]
ENTRYPOINT ["/postern"]
CMD ["serve"]
