package io.github.kootask;

import com.google.protobuf.Descriptors.ServiceDescriptor;
import com.google.protobuf.Message;

import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.protobuf.ProtoUtils;

import koodrive.task.v1.GetTaskRequest;
import koodrive.task.v1.GetTaskResponse;
import koodrive.task.v1.TaskProto;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;

/**
 * The contract's methods. A stub would be generated for them by a plugin of protoc's that is a
 * program for each kind of machine: for two methods it is not worth its download.
 */
final class Methods {
    private static final ServiceDescriptor SERVICE =
            TaskProto.getDescriptor().findServiceByName("TaskService");

    static final MethodDescriptor<GetTaskRequest, GetTaskResponse> GET_TASK =
            method(
                    "GetTask",
                    MethodType.UNARY,
                    GetTaskRequest.getDefaultInstance(),
                    GetTaskResponse.getDefaultInstance());

    static final MethodDescriptor<WatchTaskRequest, WatchTaskResponse> WATCH_TASK =
            method(
                    "WatchTask",
                    MethodType.SERVER_STREAMING,
                    WatchTaskRequest.getDefaultInstance(),
                    WatchTaskResponse.getDefaultInstance());

    private Methods() {}

    private static <Q extends Message, A extends Message> MethodDescriptor<Q, A> method(
            String name, MethodType type, Q request, A answer) {
        return MethodDescriptor.newBuilder(
                        ProtoUtils.marshaller(request), ProtoUtils.marshaller(answer))
                .setType(type)
                .setFullMethodName(
                        MethodDescriptor.generateFullMethodName(SERVICE.getFullName(), name))
                .setSafe(true)
                .build();
    }
}
