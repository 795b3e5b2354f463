/** The gRPC backend of the scenario: answers every call with the name of its pod. Leaves without losing a call. */
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { WHO } from './who.ts';

const pod = Buffer.from(process.env.POD_NAME ?? 'grpc');
const server = new Server();
server.addService(WHO, {
  who: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, pod),
});
server.bindAsync(`0.0.0.0:${process.env.PORT ?? '50051'}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
});
process.on('SIGTERM', () => {
  // Others need a moment to learn that this pod goes.
  setTimeout(() => server.tryShutdown(() => process.exit(0)), Number(process.env.LINGER_MS ?? '2000'));
});
