"""Asks a server for everything through TensorFlow's own stubs and prints the answers as JSON.

python serving_stubs.py HOST:PORT   (needs tensorflow-serving-api and grpcio)
"""

import json
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import inference_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tensorflow_serving.apis import regression_pb2

channel = grpc.insecure_channel(sys.argv[1])
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
models = model_service_pb2_grpc.ModelServiceStub(channel)
out = {}


def predict(tensor, signature="serving_default", model="default"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs["x"].CopyFrom(tensor)
    return stub.Predict(request)


def code(f):
    try:
        f()
    except grpc.RpcError as e:
        return e.code().name
    return "OK"


def examples(request, *values):
    for v in values:
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(v)
    return request


answer = predict(tf.make_tensor_proto([1.0, 2.0, 5.0]))
out["predict"] = list(answer.outputs["y"].float_val)
out["spec"] = [answer.model_spec.name, answer.model_spec.version.value, answer.model_spec.signature_name]
content = tf.compat.v1.make_tensor_proto(tf.constant([[2.0], [3.0]]).numpy())
out["predict_content"] = tf.make_ndarray(predict(content).outputs["y"]).flatten().tolist()
out["predict_filled"] = tf.make_ndarray(predict(tf.make_tensor_proto(2.0, shape=[3])).outputs["y"]).tolist()

request = classification_pb2.ClassificationRequest()
request.model_spec.name = "default"
request.model_spec.signature_name = "classify_x_to_y"
out["classify"] = [[c.label, c.score] for c in stub.Classify(examples(request, 2.0)).result.classifications[0].classes]

request = regression_pb2.RegressionRequest()
request.model_spec.name = "default"
request.model_spec.signature_name = "regress_x_to_y"
out["regress"] = [r.value for r in stub.Regress(examples(request, 2.0, 4.0)).result.regressions]

request = inference_pb2.MultiInferenceRequest()
for signature, method in (("regress_x_to_y", "regress"), ("classify_x_to_y", "classify")):
    task = request.tasks.add()
    task.model_spec.name = "default"
    task.model_spec.signature_name = signature
    task.method_name = "tensorflow/serving/" + method
results = stub.MultiInference(examples(request, 2.0)).results
out["multi"] = [results[0].regression_result.regressions[0].value, results[1].classification_result.classifications[0].classes[0].score]

request = get_model_status_pb2.GetModelStatusRequest()
request.model_spec.name = "default"
states = get_model_status_pb2.ModelVersionStatus.State
out["status"] = [[s.version, states.Name(s.state), s.status.error_code] for s in models.GetModelStatus(request).model_version_status]

request = get_model_metadata_pb2.GetModelMetadataRequest()
request.model_spec.name = "default"
request.metadata_field.append("signature_def")
defs = get_model_metadata_pb2.SignatureDefMap()
stub.GetModelMetadata(request).metadata["signature_def"].Unpack(defs)
out["signatures"] = sorted(defs.signature_def)

out["unknown_signature"] = code(lambda: predict(tf.make_tensor_proto([1.0]), signature="no"))
out["unknown_model"] = code(lambda: predict(tf.make_tensor_proto([1.0]), model="no"))
out["wrong_type"] = code(lambda: predict(tf.make_tensor_proto([1])))
print(json.dumps(out))
