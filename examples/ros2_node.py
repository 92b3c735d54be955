"""A ROS 2 node that derains a camera: subscribes to image_raw, publishes image_derained.

Needs a sourced ROS 2 (rclpy, sensor_msgs). The tests have none: they check the conversion of
messages alone, against a stand-in with the fields of sensor_msgs/msg/Image. The node is untested.

Usage: python examples/ros2_node.py --ros-args -r image_raw:=/camera/front/image_raw
"""

import sys
from typing import Any

import numpy as np

import rainclear

try:
    import rclpy
    from rclpy.node import Node
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image
except ImportError:
    rclpy = None

CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0)}
"""Where red, green and blue are, by the encoding's name in sensor_msgs/image_encodings.hpp."""


def to_array(message: Any) -> np.ndarray:
    """The H×W×3 uint8 RGB frame of a ``sensor_msgs/msg/Image``; mono8 becomes three equal channels.

    Raises:
        ValueError: The encoding is none of rgb8, bgr8, rgba8, bgra8 and mono8.
    """
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    if message.encoding == "mono8":
        return np.repeat(rows[:, : message.width, None], 3, axis=2)
    if message.encoding not in CHANNELS:
        raise ValueError(f"encoding {message.encoding!r}: use one of mono8, {', '.join(CHANNELS)}")
    depth = 4 if "a8" in message.encoding else 3
    pixels = rows[:, : depth * message.width].reshape(message.height, message.width, depth)
    return np.ascontiguousarray(pixels[..., CHANNELS[message.encoding]])


def fill(message: Any, frame: np.ndarray, header: Any) -> Any:
    """Put an RGB frame into a message, with the stamp and the frame_id of another one's header."""
    message.header = header
    message.height, message.width = frame.shape[:2]
    message.encoding, message.is_bigendian = "rgb8", 0
    message.step = 3 * message.width
    message.data = frame.tobytes()
    return message


def run(arguments: list[str]) -> None:
    """Spin until interrupted; one node for each camera, as it carries state from frame to frame."""
    if rclpy is None:
        raise SystemExit("needs ROS 2: source /opt/ros/DISTRO/setup.bash first")
    rclpy.init(args=arguments)
    node, derainer = Node("rainclear"), rainclear.Derainer("d-daiam-rt")
    # Where the model is slower than the camera, old frames are dropped.
    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(Image, "image_derained", newest)

    def derain(message: Any) -> None:
        derained = derainer.process(to_array(message))
        publisher.publish(fill(Image(), derained, message.header))

    node.create_subscription(Image, "image_raw", derain, newest)
    try:
        rclpy.spin(node)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    run(sys.argv)
