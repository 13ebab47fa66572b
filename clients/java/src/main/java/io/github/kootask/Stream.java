package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;

import java.util.List;
import java.util.Queue;

/**
 * One stream of a watch. gRPC's threads put what comes into the queue of the watch. The next
 * message is requested when one has been taken.
 */
final class Stream<Q, R> extends ClientCall.Listener<R> {
    private final Source<Q, R> source;
    private final Queue<Arrival> arrivals; // At most a message and the end of each stream.
    private final ClientCall<Q, R> call;
    private Metadata headers = new Metadata(); // Only gRPC's callbacks use it.

    /** What has come: a message, or else the end of the stream. */
    record Arrival(Stream<?, ?> stream, Message message, Status end, Metadata trailers) {}

    /** Makes a stream, which ends with the Context of the thread. */
    Stream(Source<Q, R> source, Channel channel, CallOptions options, Queue<Arrival> arrivals) {
        this.source = source;
        this.arrivals = arrivals;
        // No callback below blocks.
        call = channel.newCall(source.method(), options.withExecutor(Runnable::run));
    }

    void start(Metadata headers, List<String> ids) {
        call.start(this, headers);
        call.request(1);
        call.sendMessage(source.request(ids));
        call.halfClose();
    }

    void requestNext() {
        call.request(1);
    }

    void cancel(String why) {
        call.cancel(why, null);
    }

    @Override
    public void onHeaders(Metadata headers) {
        this.headers = headers;
    }

    @Override
    public void onMessage(R message) {
        arrivals.add(new Arrival(this, source.read(message, headers), null, null));
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
        arrivals.add(new Arrival(this, null, status, trailers));
    }
}
